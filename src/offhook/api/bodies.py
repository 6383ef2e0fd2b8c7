"""Bodies of requests: JSON, forms, several parts, files (kazoo-behaviour 1.3)."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from offhook.directory.model import Json

from .errors import ApiError, bad_json

FIELDS_MAX: Final = 200
"""Of a form or query. Every parameter may become an application variable; nobody has this many."""

DEPTH_MAX: Final = 64
"""Nesting of JSON that is read; documents nest about ten deep, callflows a few dozen."""

PARTS_MAX: Final = 20
"""Parts of a multipart body: one JSON and a file or two."""

JSON_KINDS: Final = frozenset({"", "application/json", "application/x-json"})
FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = frozenset({"multipart/form-data", "multipart/mixed"})
BASE64: Final = frozenset({"application/base64", "application/x-base64"})
"""2600hz's SDK for PHP sends the second."""

_FORM_ENVELOPE: Final = frozenset({"auth_token", "verb", "accept", "authorization"})
"""Fields of an HTML form that belong to the envelope; all others are data."""

_BOUNDARY: Final = re.compile(r'boundary="?([^\s";]{1,200})"?', re.IGNORECASE)
_FILE_NAME: Final = re.compile(rb'filename="?([^";\r\n]{1,200})"?', re.IGNORECASE)
_FIELD_NAME: Final = re.compile(rb'[; ]name="?([^";\r\n]{1,200})"?', re.IGNORECASE)
_DATA_URI: Final = re.compile(rb"data:([\w.+-]{1,60}/[\w.+-]{1,60})?(;[\w=.+-]{0,60})?;base64,")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came in a request."""

    content: bytes
    content_type: str
    """Lower case, without parameters."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, read."""

    envelope: Json
    upload: Upload | None = None


def read_body(body: bytes, content_type: str, *, file_name: str = "", takes_files: bool = False) -> Body:
    """Return envelope and file: JSON whatever the content type says if it begins with `{`.

    A file is read only where one is taken; elsewhere it is refused with 415. Raises ApiError 400, 415.
    """
    kind = _kind(content_type)
    first = body.lstrip()[:1]
    if kind in MULTIPART:
        return _multipart(body, content_type, takes_files=takes_files)
    if kind == FORM and first != b"{":
        return Body(_form(body))
    if kind in JSON_KINDS or (first in (b"{", b"[") and not takes_files) or kind == FORM:
        return Body(decode_json(body))
    if not takes_files:
        raise ApiError(415, "unsupported_media_type", {"message": f"cannot read {kind[:100]}"})
    return Body({}, _file(body, kind, file_name))


def decode_json(body: bytes) -> Json:
    """Return a JSON object. Raises ApiError 400."""
    try:
        decoded = msgspec.json.decode(body)
    except RecursionError:
        raise bad_json("nested too deeply") from None
    except (ValueError, msgspec.MsgspecError) as error:
        raise bad_json(f"invalid_json: {str(error)[:200]}") from None
    if not isinstance(decoded, dict):
        raise bad_json("All JSON must be valid: an object is needed")
    if not _fits(decoded, DEPTH_MAX):
        raise bad_json("nested too deeply, or a number is out of range")
    return decoded


def with_plus(fields: str) -> str:
    """Keep a plus that begins a value: people write `?contact=+15551234567`."""
    return fields.replace("=+", "=%2B")


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _form(body: bytes) -> Json:
    try:
        text = with_plus(body.decode("utf-8"))
        fields: Json = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError:
        raise bad_json("All JSON must be valid: form fields are not UTF-8, or too many") from None
    return _enveloped(fields)


def _enveloped(fields: Json) -> Json:
    envelope: Json = {name: fields.pop(name) for name in tuple(fields) if name in _FORM_ENVELOPE}
    envelope["data"] = fields
    return envelope


def _multipart(body: bytes, content_type: str, *, takes_files: bool) -> Body:
    """Read parts (RFC 2046 5.1): JSON makes the envelope, named texts are form fields, one is a file."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise bad_json("multipart without a boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode("latin-1"), PARTS_MAX + 2)[1:]
    if len(pieces) > PARTS_MAX + 1 or not pieces or not pieces[-1].startswith(b"--"):
        raise bad_json(f"multipart without an end, or with more than {PARTS_MAX} parts")
    envelope: Json = {}
    fields: Json = {}
    upload: Upload | None = None
    for piece in pieces[:-1]:
        head, _, content = piece.partition(b"\r\n\r\n")
        kind = _kind(_header(head, b"content-type"))
        name = _FIELD_NAME.search(head)
        if kind in JSON_KINDS - {""} or (not kind and content.lstrip()[:1] == b"{"):
            envelope.update(decode_json(content))
        elif not kind and name is not None and _FILE_NAME.search(head) is None:
            fields[name[1].decode("utf-8", "replace")] = content.decode("utf-8", "replace")
        elif upload is None:
            upload = _file(content, kind, _file_name(head))
    if upload is not None and not takes_files:
        raise ApiError(415, "unsupported_media_type", {"message": "no file is taken here"})
    if fields and "data" not in envelope:
        envelope.update(_enveloped(fields))
    if "data" not in envelope and upload is not None:
        envelope["data"] = {}
    return Body(envelope, upload)


def _header(head: bytes, name: bytes) -> str:
    for line in head.split(b"\r\n"):
        field, _, value = line.partition(b":")
        if field.strip().lower() == name:
            return value.strip().decode("latin-1")
    return ""


def _file_name(head: bytes) -> str:
    found = _FILE_NAME.search(head)
    return found[1].decode("utf-8", "replace") if found is not None else ""


def _file(content: bytes, kind: str, name: str) -> Upload:
    """Return a file; base64 is decoded, with or without `data:audio/mp3;base64,` before it."""
    if kind not in BASE64:
        return Upload(content, kind, name)
    prefix = _DATA_URI.match(content)
    try:
        raw = base64.b64decode(content[prefix.end() :] if prefix else content)
    except binascii.Error:
        raise bad_json("this is not base64") from None
    inner = prefix[1].decode("ascii").lower() if prefix and prefix[1] else ""
    return Upload(raw, inner, name)


def _fits(value: Any, depth: int) -> bool:
    """Tell whether JSON is at most so deep, and its integers fit the 64 bits that validators hold."""
    if isinstance(value, dict):
        return depth > 0 and all(_fits(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_fits(item, depth - 1) for item in value)
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 63
