-- Every key starts with the user: rows of one user lie together, so a snapshot or a page of the log is one range, and a
-- store that splits by user needs no other layout. Bodies are JSON text, readable with any tool that opens the file.

CREATE TABLE fact (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    user TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    rev INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    newest_at INTEGER NOT NULL,
    items INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Exactly the rows floor < rev <= account.rev exist.
CREATE TABLE change (
    user TEXT NOT NULL,
    rev INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (user, rev)
) STRICT, WITHOUT ROWID;

-- A body of NULL is a tombstone: the identifier is used up.
CREATE TABLE item (
    user TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT,
    PRIMARY KEY (user, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    user TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    conn INTEGER NOT NULL,
    last_mid INTEGER NOT NULL,
    acked_epoch TEXT,
    acked_rev INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    PRIMARY KEY (user, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE answer (
    user TEXT NOT NULL,
    device TEXT NOT NULL,
    mid INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (user, device, mid)
) STRICT, WITHOUT ROWID;

CREATE TABLE login (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    made_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A session without a row is alive: tokens made elsewhere with the same secret have none.
CREATE TABLE session (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    ends_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE refresh (
    hash TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    ends_ms INTEGER NOT NULL,
    used_ms INTEGER
) STRICT, WITHOUT ROWID;
