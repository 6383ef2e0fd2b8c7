"""What operations have in common: schemas of documents, envelopes, errors, parameters, ways to log in."""

from typing import Any, Final

from offhook.directory.schemas import DOCUMENTS, REQUESTS

from .examples import VALIDATION_EXAMPLE

Schema = dict[str, Any]

_STRING: Final[Schema] = {"type": "string"}

ENVELOPE: Final[Schema] = {
    "type": "object",
    "description": "What stands around the data of every answer",
    "required": ["data", "status", "node", "request_id", "timestamp", "tokens"],
    "properties": {
        "data": {"description": "What was asked for"},
        "status": {"enum": ["success", "error"]},
        "auth_token": {"type": "string", "description": "The token in effect, or the one just made"},
        "revision": {"type": "string", "description": "ETag without quotes"},
        "request_id": {"type": "string", "description": "`X-Request-ID` of the request, or one made up"},
        "node": {"type": "string", "description": "Short name of the node that answered"},
        "timestamp": {"type": "string", "format": "date-time"},
        "version": {"type": "string", "description": "Only when the request is authenticated"},
        "tokens": {
            "type": "object",
            "description": "Rate limit: what the request took, and what is left",
            "properties": {"consumed": {"type": "integer"}, "remaining": {"type": "integer"}},
        },
    },
}

LIST: Final[Schema] = {
    "type": "object",
    "description": "What a page of a list adds to the envelope",
    "properties": {
        "page_size": {"type": "integer", "description": "Items of this page"},
        "start_key": {"type": "string", "description": "Key of this page"},
        "next_start_key": {"type": "string", "description": "Key of the next page, if there is one"},
    },
}

ERROR: Final[Schema] = {
    "allOf": [{"$ref": "#/components/schemas/Envelope"}],
    "type": "object",
    "description": "An answer that is not a success",
    "required": ["error", "message"],
    "properties": {
        "error": {"type": "string", "pattern": "^[1-5][0-9][0-9]$", "description": "The HTTP status"},
        "message": {"type": "string", "description": "A word for programs, or a plain text"},
        "status": {"const": "error"},
    },
}

ERRORS: Final = {
    400: ("BadRequest", "JSON that cannot be read, or fields that are wrong: path → code → details"),
    401: ("Unauthorized", "No valid token, or wrong credentials"),
    403: ("Forbidden", "The token does not reach this account, or may not do this"),
    404: ("NotFound", "Nothing here by that id"),
    409: ("Conflict", "Somebody else changed it, or it cannot be done now"),
    413: ("TooLarge", "The body has more than 8,000,000 bytes"),
    415: ("UnsupportedMediaType", "A body of this content type cannot be read here"),
    416: ("RangeNotSatisfiable", "`paginate=false` would give more than 10,000 items"),
    422: ("KeyReused", "The Idempotency-Key came with another request before"),
    429: ("TooManyRequests", "A bucket is empty; `Retry-After` says when to come back"),
    500: ("Failed", "KAZOO's answer to something that could not be done"),
    501: ("NotImplemented", "Not in this version"),
    503: ("Unavailable", "Too many calls, shutting down, or the disk is lost; `Retry-After`"),
}
"""Status → name of the response and what it means."""

WITH_RETRY: Final = frozenset({429, 503})

SECURITY: Final[dict[str, Schema]] = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same token"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Account id and the MD5 digest of `username:password`",
    },
}


def schema_name(name: str) -> str:
    """Return the name under which a document or request schema stands: `clicktocall` → `Clicktocall`."""
    return "".join(part.capitalize() for part in name.replace(".", "_").split("_"))


def schemas() -> dict[str, Schema]:
    """Return all named schemas."""
    named: dict[str, Schema] = {"Envelope": ENVELOPE, "List": LIST, "Error": ERROR}
    for name, schema in (DOCUMENTS | REQUESTS).items():
        named.update(_hoisted(schema_name(name), schema))
    for name, schema in DOCUMENTS.items():
        named[f"{schema_name(name)}Patch"] = _patch_of(named[schema_name(name)])
        named[f"{schema_name(name)}Stored"] = _stored(schema)
    return named


def _hoisted(name: str, schema: Schema) -> dict[str, Schema]:
    """Return a schema and its `$defs` as schemas side by side; references inside follow."""
    places = {f"#/$defs/{key}": f"#/components/schemas/{name}_{key}" for key in schema.get("$defs", {})}
    found = {f"{name}_{key}": _redirected(part, places) for key, part in schema.get("$defs", {}).items()}
    own = {key: value for key, value in schema.items() if key not in ("$defs", "$schema")}
    return {name: _redirected(own, places), **found}


def _redirected(part: Any, places: dict[str, str]) -> Any:
    if isinstance(part, list):
        return [_redirected(item, places) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: places.get(value, value) if key == "$ref" else _redirected(value, places)
        for key, value in part.items()
    }


def _patch_of(schema: Schema) -> Schema:
    """Return what a PATCH may say: any of the fields; null removes one."""
    fields = {
        name: {"anyOf": [field, {"type": "null"}]} for name, field in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "description": "Fields to change; null removes one, objects merge, lists are replaced",
        "properties": fields,
    }


def _stored(schema: Schema) -> Schema:
    """Return what an answer holds: the document and its id. Fields have the types of the document."""
    types = {
        name: {key: field[key] for key in ("type", "description") if key in field}
        for name, field in schema.get("properties", {}).items()
    }
    return {
        "type": "object",
        "description": f"{schema.get('title', 'A document')}, as stored",
        "required": ["id"],
        "properties": {**types, "id": {"type": "string", "description": "32 hex digits"}},
    }


def responses() -> dict[str, Schema]:
    """Return the error responses by name."""
    return {name: _error(status, text) for status, (name, text) in ERRORS.items()}


def _error(status: int, text: str) -> Schema:
    content: Schema = {"schema": {"$ref": "#/components/schemas/Error"}}
    if status == 400:
        content["example"] = VALIDATION_EXAMPLE
    response: Schema = {"description": text, "content": {"application/json": content}}
    if status in WITH_RETRY:
        seconds = {"type": "integer", "minimum": 1}
        response["headers"] = {"Retry-After": {"description": "Seconds to wait", "schema": seconds}}
    return response


def parameter(name: str, place: str, description: str, schema: Schema | None = None) -> Schema:
    """Return a parameter; those in the path are required."""
    found: Schema = {
        "name": name,
        "in": place,
        "description": description,
        "schema": _STRING if schema is None else schema,
    }
    if place == "path":
        found["required"] = True
    return found
