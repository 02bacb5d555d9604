"""Who may come in: passwords, sessions and refresh tokens, as a model without a database."""

from msgspec import Struct

from protocol import SessionId, UserId, Wall
from server_trio.store import Login, Reused, Rotated


class Session(Struct):
    """A sign-in, or the memory that there was one.

    Attributes:
        ends: when its last token does. revoked: signed out, or a token of it came twice.
    """

    user: UserId
    ends: Wall
    revoked: bool = False


class Refresh(Struct):
    """A refresh token, known by its hash."""

    session: SessionId
    ends: Wall
    used: bool = False


class SignIns:
    """The contract of `server_trio.store.AccountStore`, told without waiting.

    Attributes:
        logins: by name. passwords: the hash kept for each. sessions, tokens: by identifier and by hash.
    """

    def __init__(self) -> None:
        self.logins: dict[str, Login] = {}
        self.passwords: dict[str, str] = {}
        self.sessions: dict[SessionId, Session] = {}
        self.tokens: dict[str, Refresh] = {}

    def __repr__(self) -> str:
        return f"<SignIns of {len(self.logins)} users, {len(self.sessions)} sessions>"

    def add_user(self, name: str, password_hash: str, now: Wall) -> bool:
        """See `AccountStore.add_user`."""
        if name in self.logins:
            return False
        self.logins[name] = Login(name, now)
        self.passwords[name] = password_hash
        return True

    def set_password(self, name: str, password_hash: str) -> bool:
        """See `AccountStore.set_password`."""
        if name not in self.logins:
            return False
        self.passwords[name] = password_hash
        return True

    def open_session(self, session: SessionId, user: UserId, refresh_hash: str, ends: Wall) -> None:
        """See `AccountStore.open_session`.

        Raises:
            ValueError: the session or its token is not new; nothing changed.
        """
        if session in self.sessions or refresh_hash in self.tokens:
            raise ValueError(f"session {session} is not new")
        self.sessions[session] = Session(user, ends)
        self.tokens[refresh_hash] = Refresh(session, ends)

    def rotate(self, refresh_hash: str, next_hash: str, ends: Wall, now: Wall) -> Rotated | Reused | None:
        """See `AccountStore.rotate`."""
        token = self.tokens.get(refresh_hash)
        session = None if token is None else self.sessions.get(token.session)
        if token is None or session is None or session.revoked or token.ends <= now:
            return None
        if token.used:
            session.revoked = True
            return Reused(token.session)
        token.used = True
        self.tokens[next_hash] = Refresh(token.session, ends)
        session.ends = max(session.ends, ends)
        return Rotated(session.user, token.session)

    def revoke_session(self, session: SessionId, user: UserId, ends: Wall) -> None:
        """See `AccountStore.revoke_session`."""
        known = self.sessions.setdefault(session, Session(user, ends))
        known.revoked = True
        known.ends = max(known.ends, ends)

    def alive(self, session: SessionId) -> bool:
        """See `AccountStore.session_alive`."""
        known = self.sessions.get(session)
        return known is None or not known.revoked

    def forget(self, ended_before: Wall, limit: int) -> int:
        """See `AccountStore.forget_sessions`."""
        tokens = [key for key, token in self.tokens.items() if token.ends < ended_before][:limit]
        sessions = [key for key, session in self.sessions.items() if session.ends < ended_before][:limit]
        for key in tokens:
            del self.tokens[key]
        for session in sessions:
            del self.sessions[session]
        return len(tokens) + len(sessions)
