"""The HTTP part as an OpenAPI 3.1 document: addresses written by hand, schemas taken from the classes that are decoded.

The rules behind it are in docs/protocol.md; a test holds the document and the table of routes against each other.
"""

from typing import Any, Final

import msgspec

from protocol import HTTP_STATUS, Alarm, Mutate, Result, Timer

from .bodies import Credentials, Refreshing, TokenPairBody


Json = dict[str, Any]

_CODES: Final[dict[int, list[str]]] = {
    status: sorted(code for code, its in HTTP_STATUS.items() if its == status) for status in HTTP_STATUS.values()
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}


def _object(members: Json, *, optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in members if name not in optional]
    return {"type": "object", "properties": members, "required": required}


def _answer(description: str, members: Json, *, optional: tuple[str, ...] = ()) -> Json:
    """An answer to an authenticated request, with what all of these carry."""
    stamped = {"allOf": [_ref("Stamped"), _object(members, optional=optional)]}
    return {"description": description, **_json(stamped)}


def _parameter(name: str, where: str, schema: Json, description: str, *, required: bool) -> Json:
    return {"name": name, "in": where, "required": required, "schema": schema, "description": description}


def _operation(summary: str, answers: Json, *, errors: tuple[int, ...], secured: bool = True, **more: Any) -> Json:
    refused = {str(status): {"$ref": f"#/components/responses/{status}"} for status in errors}
    return {"summary": summary, "security": [{"bearer": []}] if secured else [], "responses": answers | refused, **more}


TEXT: Final[Json] = {"type": "string"}
NUMBER: Final[Json] = {"type": "integer"}
RECORD: Final[Json] = {"oneOf": [_ref("Alarm"), _ref("Timer")]}
RECORDS: Final[Json] = {"type": "array", "items": RECORD}

ITEM: Final = _parameter("item", "path", TEXT, "The id of the alarm or timer.", required=True)
DEVICE: Final[Json] = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
DEVICE_ID: Final = _parameter("device_id", "query", DEVICE, "The device that asks.", required=True)
LISTING: Final = _parameter(
    "device_id", "query", DEVICE, "The device that asks; without one, plain records come.", required=False
)
SINCE: Final = _parameter(
    "since", "query", TEXT, "The client's cursor, `epoch:rev`; absent: it has none.", required=False
)
WAIT: Final = _parameter("wait", "query", NUMBER, "Seconds to wait for a change, at most 25.", required=False)

_WRITTEN: Final[Json] = {
    "description": "The record as it is now.",
    **_json({"allOf": [_ref("Stamped"), RECORD]}),
}
_COUNTS: Final[Json] = {"type": "object", "additionalProperties": NUMBER}

_ITEMS: Final[Json] = {
    "get": _operation(
        "Everything at one rev.",
        {
            "200": _answer(
                "A snapshot; records carry stamps where a device asked.",
                {"rev": NUMBER, "last_mid": NUMBER, "items": RECORDS, "deleted": {"type": "array", "items": TEXT}},
            )
        },
        errors=(401, 403, 422, 503),
        parameters=[LISTING, SINCE],
    ),
    "post": _operation(
        "Create an alarm or timer, or update it: members that are absent stay as they are.",
        {"200": _WRITTEN, "201": _WRITTEN},
        errors=(400, 401, 403, 409, 410, 413, 422, 503),
        requestBody={"required": True, **_json({"type": "object"})},
    ),
}
_ONE_ITEM: Final[Json] = {
    "parameters": [ITEM],
    "get": _operation(
        "One record.",
        {"200": {"description": "The record.", **_json({"allOf": [_ref("Stamped"), RECORD]})}},
        errors=(401, 403, 404, 503),
    ),
    "delete": _operation(
        "Delete; an id that names nothing is a success.",
        {
            "200": _answer(
                "`deleted` tells whether there was anything.",
                {"id": TEXT, "rev": NUMBER, "deleted": {"type": "boolean"}},
            )
        },
        errors=(401, 403, 503),
    ),
}
_CHANGES: Final[Json] = {
    "get": _operation(
        "What happened after a cursor; with `wait`, a long poll.",
        {
            "200": _answer(
                "Events in order, or why the client must fetch everything.",
                {
                    "rev": NUMBER,
                    "last_mid": NUMBER,
                    "events": {"type": "array", "items": {"type": "object"}},
                    "sync_required": TEXT,
                },
                optional=("last_mid", "events", "sync_required"),
            )
        },
        errors=(401, 403, 422, 503),
        parameters=[DEVICE_ID, SINCE, WAIT],
    )
}
_MUTATIONS: Final[Json] = {
    "post": _operation(
        "Numbered mutations of a device, at most 64, in order.",
        {
            "200": _answer(
                "One result each, up to the first that was not consumed, which `error` names.",
                {"results": {"type": "array", "items": _ref("Result")}, "error": _ref("Error")},
                optional=("error",),
            )
        },
        errors=(400, 401, 403, 409, 422, 503),
        parameters=[DEVICE_ID],
        requestBody={"required": True, **_json(_object({"mutations": {"type": "array", "items": _ref("Mutate")}}))},
    )
}
_STATS: Final[Json] = {
    "get": _operation(
        "Counts of this server since its start.",
        {
            "200": _answer(
                "Connections, changes and errors by type.",
                {
                    "connections": NUMBER,
                    "own_connections": NUMBER,
                    "users": NUMBER,
                    "deliveries": NUMBER,
                    "events": _COUNTS,
                    "errors": _COUNTS,
                },
            )
        },
        errors=(401, 403, 503),
    )
}


def _signing_in(summary: str, body: str) -> Json:
    pair = {"200": {"description": "Tokens of a session.", **_json(_ref("TokenPairBody"))}}
    asked = {"required": True, **_json(_ref(body))}
    return {"post": _operation(summary, pair, errors=(400, 401, 403, 503), secured=False, requestBody=asked)}


def _plain(summary: str, schema: Json) -> Json:
    return {"get": _operation(summary, {"200": {"description": summary, **_json(schema)}}, errors=(), secured=False)}


PATHS: Final[Json] = {
    "/api/alarms-timers": _ITEMS,
    "/api/alarms-timers/{item}": _ONE_ITEM,
    "/api/alarms-timers/changes": _CHANGES,
    "/api/alarms-timers/mutations": _MUTATIONS,
    "/api/alarms-timers/ws/stats": _STATS,
    "/api/auth/token": _signing_in("Sign in.", "Credentials"),
    "/api/auth/refresh": _signing_in("Trade a refresh token for a new pair; each is good for one trade.", "Refreshing"),
    "/api/auth/logout": {
        "post": _operation(
            "Sign out: end the session of the token, and its sockets at once.",
            {"200": _answer("It is over.", {"signed_out": {"type": "boolean"}})},
            errors=(401, 403, 503),
        )
    },
    "/healthz": _plain("Whether requests are answered.", _object({"status": TEXT, "version": TEXT})),
    "/openapi.json": _plain("This document.", {"type": "object"}),
}


def _error_answers() -> Json:
    return {
        str(status): {"description": f"Error: {', '.join(codes)}.", **_json(_ref("Refusal"))}
        for status, codes in _CODES.items()
    }


def _schemas() -> Json:
    classes = [Alarm, Timer, Mutate, Result, Credentials, Refreshing, TokenPairBody]
    _, schemas = msgspec.json.schema_components(classes, ref_template="#/components/schemas/{name}")
    error = {"code": {"enum": sorted(HTTP_STATUS)}, "message": TEXT, "retryable": {"type": "boolean"}}
    optional = {"field": TEXT, "want": NUMBER, "ref": NUMBER, "retry_after_ms": NUMBER}
    clock = {"epoch": TEXT, "t1": NUMBER, "t2": NUMBER}
    return {
        **schemas,
        "Stamped": _object(clock),
        "Error": _object(error | optional, optional=tuple(optional)),
        "Refusal": _object({"error": _ref("Error"), **clock}, optional=("epoch",)),
    }


DOCUMENT: Final[Json] = {
    "openapi": "3.1.0",
    "info": {
        "title": "Tocsin",
        "version": "1",
        "summary": "Keeps alarms and timers in step on every device a person owns.",
        "description": "The socket at `/api/alarms-timers/ws` is described in docs/protocol.md.",
    },
    "paths": PATHS,
    "components": {
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        "responses": _error_answers(),
        "schemas": _schemas(),
    },
}
