"""What endpoints answer, and how it is put into KAZOO's envelope (kazoo-behaviour 1.5, 1.8, 1.9)."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

import offhook
from offhook.directory.model import Document, Json

from .chunks import ChunkedList, chunk_size
from .errors import ApiError
from .request import Request

Header = tuple[bytes, bytes]

Stream = Callable[[Any, Any, Any], Awaitable[None]]
"""Takes ASGI's scope, receive and send."""

JSONP_NAME: Final = re.compile(r"[A-Za-z_$][\w$.]{0,63}\Z", re.ASCII)

_ALLOW_HEADERS: Final = (
    b"content-type, depth, user-agent, x-http-method-override, x-file-size, x-requested-with, "
    b"if-modified-since, x-file-name, cache-control, x-auth-token, x-kazoo-cluster-id, if-match, "
    b"authorization, x-request-id, idempotency-key"
)
_EXPOSE_HEADERS: Final = (
    b"content-type, x-auth-token, x-request-id, x-kazoo-cluster-id, location, etag, retry-after, "
    b"idempotent-replayed"
)
_PAST: Final = (b"expires", b"Fri, 01 Jan 1999 00:00:00 GMT")
_JSON: Final = (b"content-type", b"application/json")

_WITH_BODY: Final = ("PUT", "POST", "PATCH")
_NO_CONTENT_TYPE: Final = (b"x-rfc2616", b"Section 14.17: the request has no Content-Type")
"""KAZOO's hint, in other words."""

_encoder: Final = msgspec.json.Encoder()


@dataclass(slots=True, kw_only=True)
class Reply:
    """A success. Keys that are empty are left out of the envelope."""

    data: Any = None
    status: int = 200
    revision: str = ""
    """`_rev` of a document; becomes the ETag."""
    is_list: bool = False
    """The ETag is a hash of the data."""
    is_chunked: bool = False
    """A list that is sent piece by piece unless the client says otherwise; then it has no ETag."""
    location: str = ""
    paging: Json | None = None
    auth_token: str = ""
    """A token just made; else the one in effect is repeated."""
    headers: tuple[Header, ...] = ()
    body: bytes | None = None
    """Sent as it is, without envelope (CSV, text)."""
    content_type: str = "application/json"
    stream: Stream | None = None
    """Sends the body piece by piece, in place of `body`."""


@dataclass(slots=True, frozen=True)
class Answer:
    """What goes onto the wire."""

    status: int
    headers: list[Header]
    body: bytes
    stream: Stream | None = None
    """Sends the body after the headers; it never raises."""


def document_reply(document: Document, data: Json | None = None, *, status: int = 200) -> Reply:
    """Return a reply with a document's public keys and its id."""
    return Reply(
        data=data if data is not None else public(document), status=status, revision=document.revision
    )


def public(document: Document) -> Json:
    """Return what clients see of a document."""
    return {**document.data, "id": document.id}


def render(request: Request, reply: Reply, *, node: str, now: float, methods: Iterable[str]) -> Answer:
    """Return the wire form of a success: 304 when the client has it already, else 200, 201, 202."""
    if reply.body is not None:
        headers = _headers(request, methods)
        headers.append((b"content-type", reply.content_type.encode()))
        headers += reply.headers
        return Answer(reply.status, headers, reply.body, reply.stream)
    if reply.is_list and reply.status == 200 and _is_chunked(request, reply):
        return _chunked(request, reply, node=node, now=now, methods=methods)
    data = _encoder.encode({} if reply.data is None else reply.data)
    revision = reply.revision
    if reply.is_list and reply.data:
        revision = hashlib.md5(data, usedforsecurity=False).hexdigest()
    headers = _headers(request, methods)
    headers += reply.headers
    if revision:
        headers.append((b"etag", f'"{revision}"'.encode()))
        if request.method == "GET" and reply.status == 200 and _is_known(request, revision):
            return Answer(304, headers, b"")
    if reply.location:
        headers.append((b"location", reply.location.encode("ascii", "replace")))
    envelope: Json = {"data": msgspec.Raw(data), "status": "success"}
    if revision:
        envelope["revision"] = revision
    if reply.paging is not None:
        envelope.update(reply.paging)
    _common(envelope, request, node, now, reply.auth_token)
    headers.append(_JSON)
    return Answer(reply.status, headers, _encode(request, envelope, headers))


def _is_chunked(request: Request, reply: Reply) -> bool:
    wanted = request.query.get("is_chunked")
    is_wanted = wanted == "true" or (reply.is_chunked and wanted != "false")
    return is_wanted and not {"jsonp", "pretty_print"} & request.query.keys()


def _chunked(request: Request, reply: Reply, *, node: str, now: float, methods: Iterable[str]) -> Answer:
    """Return a list that is sent piece by piece; there is no ETag of what is not known as a whole."""
    envelope: Json = {"status": "success", **(reply.paging or {})}
    _common(envelope, request, node, now, "")
    rows = ChunkedList(reply.data, envelope, size=chunk_size(request.query.get("chunk_size", "")))
    return Answer(200, [*_headers(request, methods), *reply.headers, _JSON], b"", rows.send)


def render_error(
    request: Request, error: ApiError, *, node: str, now: float, methods: Iterable[str]
) -> Answer:
    """Return the wire form of an error; it always carries the CORS headers."""
    headers = _headers(request, methods, always_cors=True)
    headers += error.headers
    if error.data is None:
        return Answer(error.status, headers, b"")
    envelope: Json = {
        "data": error.data,
        "error": str(error.status),
        "message": error.message,
        "status": "error",
    }
    _common(envelope, request, node, now, "")
    headers.append(_JSON)
    return Answer(error.status, headers, _encode(request, envelope, headers))


def etags(field: str) -> list[str]:
    """Return the entity tags of If-Match or If-None-Match, without quotes and weakness marks."""
    return [tag.strip().removeprefix("W/").strip('"') for tag in field.split(",") if tag.strip()]


def options_answer(request: Request, methods: Iterable[str]) -> Answer:
    """Return the answer to a CORS preflight."""
    return Answer(200, _headers(request, methods, always_cors=True), b"")


def _is_known(request: Request, revision: str) -> bool:
    field = request.headers.get("if-none-match")
    if field is None:
        return False
    known = etags(field)
    return revision in known or known == ["*"]


def _common(envelope: Json, request: Request, node: str, now: float, new_token: str) -> None:
    principal = request.principal
    token = new_token or (principal.token if principal is not None else "")
    if token:
        envelope["auth_token"] = token
    if principal is not None or new_token:
        envelope["version"] = offhook.__version__
    envelope["node"] = node
    envelope["request_id"] = request.request_id
    envelope["timestamp"] = iso8601_s(int(now))
    envelope["tokens"] = {"consumed": request.tokens_taken, "remaining": request.tokens_left}


def _encode(request: Request, envelope: Json, headers: list[Header]) -> bytes:
    body = _encoder.encode(envelope)
    if request.query.get("pretty_print") == "true" or request.headers.get("x-pretty-print") == "true":
        body = msgspec.json.format(body, indent=2)
    function = request.query.get("jsonp", "")
    if function and JSONP_NAME.match(function):
        headers[-1] = (b"content-type", b"application/javascript")
        return function.encode() + b"(" + body + b");"
    return body


def _headers(request: Request, methods: Iterable[str], *, always_cors: bool = False) -> list[Header]:
    headers = [(b"x-request-id", request.request_id.encode("ascii")), _PAST]
    if request.http_method in _WITH_BODY and "content-type" not in request.headers:
        headers.append(_NO_CONTENT_TYPE)
    if always_cors or request.is_cors:
        headers += cors_headers(methods)
    return headers


@lru_cache(maxsize=4)
def iso8601_s(epoch_s: int) -> str:
    """Return `2026-11-24T21:14:32Z`; most requests of a second share it."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cors_headers(methods: Iterable[str]) -> list[Header]:
    """Return what lets a browser script of another site read the answer."""
    return [
        (b"access-control-allow-origin", b"*"),
        (b"access-control-allow-methods", ", ".join(("OPTIONS", *methods)).encode()),
        (b"access-control-allow-headers", _ALLOW_HEADERS),
        (b"access-control-expose-headers", _EXPOSE_HEADERS),
        (b"access-control-max-age", b"86400"),
    ]
