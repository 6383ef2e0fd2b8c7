"""The route table as an OpenAPI 3.1 document."""

from typing import Any, Final

import msgspec

import offhook
from offhook.api.routing import Access, Handler, Route, Routes

from .components import ERRORS, SECURITY, Schema, responses, schema_name, schemas
from .examples import DOCUMENT_EXAMPLES, ENVELOPE_EXAMPLE
from .operations import Described, describe

ABOUT: Final = """KAZOO's v2 API. Every answer stands in an envelope; `data` of the request body holds what is
sent. `verb` in the query or the envelope replaces the method of a POST; `filter_{path}=value` and
`filter_not_{path}=value` filter every list. `/v1` is answered as `/v2`."""

_JSON: Final = "application/json"
_ENVELOPE: Final[Schema] = {"$ref": "#/components/schemas/Envelope"}
_TOKEN: Final[list[dict[str, list[str]]]] = [{"token": []}, {"bearer": []}, {"basic": []}]


def openapi(routes: Routes) -> dict[str, Any]:
    """Return the document of all routes, with `/v2` before each path."""
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, None] = {}
    for route in sorted(routes.all, key=lambda route: route.path):
        item = paths[f"/v2/{route.path}"] = {}
        for method in route.methods:
            operation = _operation(route, method, route.handlers[method])
            item[method.lower()] = operation
            tags[operation["tags"][0]] = None
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "offhook",
            "version": offhook.__version__,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": name} for name in sorted(tags)],
        "paths": paths,
        "components": {"schemas": schemas(), "responses": responses(), "securitySchemes": SECURITY},
    }


def openapi_bytes(routes: Routes) -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(openapi(routes))


def _operation(route: Route, method: str, handler: Handler) -> dict[str, Any]:
    described = describe(route, method, handler)
    operation: dict[str, Any] = {
        "operationId": _operation_id(method, route.path),
        "summary": described.summary,
        "tags": [described.tag],
        "parameters": described.parameters,
        "responses": _responses(described),
    }
    body = _request_body(described, method)
    if body is not None:
        operation["requestBody"] = body
    if route.access is not Access.OPEN:
        anybody: list[dict[str, list[str]]] = [{}] if route.access is Access.OPTIONAL else []
        operation["security"] = [*anybody, *_TOKEN]
    return operation


def _operation_id(method: str, path: str) -> str:
    words = [word.strip("{}") for word in path.split("/")]
    return "_".join((method.lower(), *words))


def _request_body(described: Described, method: str) -> dict[str, Any] | None:
    if method not in ("PUT", "POST", "PATCH"):
        return None
    if described.request_files:
        file: Schema = {"schema": {"type": "string", "format": "binary"}}
        return {"required": True, "content": dict.fromkeys(described.request_files, file)}
    data: Schema = {"type": "object"}
    if described.request:
        data = {"$ref": f"#/components/schemas/{_reference(described.request)}"}
    elif described.request_fields is not None:
        data = described.request_fields
    media: dict[str, Any] = {"schema": {"type": "object", "required": ["data"], "properties": {"data": data}}}
    example = DOCUMENT_EXAMPLES.get(described.example)
    if example is not None:
        media["example"] = {"data": example}
    return {"content": {_JSON: media}}


def _reference(name: str) -> str:
    base, _, is_patch = name.partition("_patch")
    return schema_name(base) + ("Patch" if name.endswith("_patch") else "") + is_patch


def _responses(described: Described) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, text in described.success.items():
        content = {kind: _content(described, kind, status) for kind in described.content_types}
        found[str(status)] = {"description": text, "content": content}
        if status in (201, 202):
            link = {"description": "Path of what was made", "schema": {"type": "string"}}
            found[str(status)]["headers"] = {"Location": link}
    for status, text in described.empty.items():
        found[str(status)] = {"description": text}
    for status in described.errors:
        found[str(status)] = {"$ref": f"#/components/responses/{ERRORS[status][0]}"}
    return dict(sorted(found.items()))


def _content(described: Described, kind: str, status: int) -> dict[str, Any]:
    if kind == "text/event-stream":
        return {"schema": {"description": "Events with `id`, `event` and `data`, a JSON object"}}
    if kind != _JSON:
        return {"schema": {"type": "string"}}
    media: dict[str, Any] = {"schema": _answer_schema(described)}
    if described.answer_example is not None and status == max(described.success):
        media["example"] = ENVELOPE_EXAMPLE | {"data": described.answer_example}
    return media


def _answer_schema(described: Described) -> Schema:
    if described.is_list:
        rows: Schema = {"type": "object", "properties": {"data": {"type": "array"}}}
        parts = [_ENVELOPE, {"$ref": "#/components/schemas/List"}, *([rows] if described.has_rows else [])]
        return {"allOf": parts}
    if not described.answer:
        return _ENVELOPE
    data = {"$ref": f"#/components/schemas/{schema_name(described.answer)}Stored"}
    return {"allOf": [_ENVELOPE, {"type": "object", "properties": {"data": data}}]}
