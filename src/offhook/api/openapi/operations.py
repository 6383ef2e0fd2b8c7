"""What each route takes and answers, found from the route itself: its path, its handlers, who may use it.

Documents need no line of their own: a handler of a `Collection` tells its type. `specials` holds what path
and handler do not tell.
"""

import inspect
import re
from dataclasses import dataclass, field
from typing import Any, Final

from offhook.api.endpoints.collections import Collection
from offhook.api.routing import Access, Handler, Route
from offhook.directory.schemas import DOCUMENTS, REQUESTS

from .components import Schema, parameter
from .specials import Special, special_of

_INTEGER: Final[Schema] = {"type": "integer"}
_BOOLEAN: Final[Schema] = {"type": "boolean"}

PAGING: Final = (
    parameter("page_size", "query", "Items per page (50)", {"type": "integer", "minimum": 1}),
    parameter("start_key", "query", "`next_start_key` of the page before"),
    parameter("paginate", "query", "false: all items at once, up to 10,000", _BOOLEAN),
    parameter("ascending", "query", "Order of the list", _BOOLEAN),
)
FILTERS: Final = (
    parameter("fields", "query", "Keys to show, separated by commas"),
    parameter("has_key", "query", "Only items that have the key"),
    parameter("key_missing", "query", "Only items that lack the key"),
    parameter("created_from", "query", "Gregorian seconds", _INTEGER),
    parameter("created_to", "query", "Gregorian seconds", _INTEGER),
)
"""Beside these any `filter_{path}` and `filter_not_{path}`."""

PATH_WORDS: Final = {
    "account_id": "Id of the account",
    "id": "Id of the document",
    "call_id": "Id of the call or of a leg",
    "cdr_id": "`YYYYMM-` and the call id; for legs also the interaction id",
    "number": "Number or extension to dial; a `+` is sent as `%2B`",
    "username": "SIP user name",
    "token": "The token in effect",
    "name": "Name",
    "session_id": "Id of the socket",
    "attempt_id": "Id of the attempt",
}

_IF_MATCH: Final = parameter("If-Match", "header", "Revision that is to be changed; another one gives 412")
_IDEMPOTENCY: Final = parameter(
    "Idempotency-Key",
    "header",
    "The same key gives the first answer again for 24 hours",
    {"type": "string", "minLength": 1, "maxLength": 255},
)
_DRY_RUN: Final = parameter("dry_run", "query", "true: answer with the plan and call nobody", _BOOLEAN)


@dataclass(slots=True)
class Described:
    """One operation, before it is written in OpenAPI's words."""

    summary: str
    tag: str
    success: dict[int, str] = field(default_factory=dict)
    """Status → what it means."""
    errors: set[int] = field(default_factory=set)
    empty: dict[int, str] = field(default_factory=dict)
    """Statuses without a body."""
    parameters: list[Schema] = field(default_factory=list)
    request: str = ""
    """Name of the schema of `data`."""
    request_fields: Schema | None = None
    """Schema of `data` that has no name."""
    request_files: tuple[str, ...] = ()
    """Content types of bodies that are files."""
    example: str = ""
    """Key into the examples."""
    answer_example: Any = None
    """`data` of an answer."""
    answer: str = ""
    """Name of the schema of `data` in the answer."""
    is_list: bool = False
    """It has pages and filters."""
    has_rows: bool = False
    """Its data is a list for certain."""
    content_types: tuple[str, ...] = ("application/json",)


def describe(route: Route, method: str, handler: Handler) -> Described:
    """Return what is known of one operation."""
    found = Described(summary=_summary(method, handler), tag=_tag(route.path))
    found.parameters = [
        parameter(name, "path", PATH_WORDS.get(name, name)) for name in path_arguments(route.path)
    ]
    _by_access(found, route)
    _by_method(found, method)
    _by_document(found, route, method, handler)
    if method == "GET" and (found.is_list or _is_list(handler)):
        _as_list(found)
    special = special_of(method, route.path)
    if special is not None:
        _specially(found, special)
    return found


def path_arguments(path: str) -> list[str]:
    """Return the names in braces."""
    return [token.strip("{}") for token in path.split("/") if token.startswith("{")]


def _by_access(found: Described, route: Route) -> None:
    found.errors |= {400, 429, 503}
    if route.access is not Access.OPEN:
        found.errors |= {401, 403}
    if path_arguments(route.path):
        found.errors.add(404)


def _by_method(found: Described, method: str) -> None:
    if method == "GET":
        found.success[200] = "Success"
        found.empty[304] = "The client has it already (`If-None-Match`)"
        return
    found.success[201 if method == "PUT" else 200] = "Done"
    found.errors |= {409, 413, 415}


def _by_document(found: Described, route: Route, method: str, handler: Handler) -> None:
    """Say which document an operation of a collection takes and gives."""
    owner = getattr(handler, "__self__", None)
    if not isinstance(owner, Collection) or owner.type not in DOCUMENTS:
        return
    below = route.path.partition(owner.noun)[2].strip("/")
    if below and not (below.startswith("{") and "/" not in below):
        return
    if getattr(handler, "__name__", "") == "act":
        return
    is_item = bool(below) and not (owner.type == "account" and method == "PUT")
    if method == "GET" and not is_item:
        found.is_list = True
        found.has_rows = getattr(handler, "__name__", "") == "index"
        return
    if method == "PATCH" and not is_item:
        return
    found.answer = owner.type
    if method in ("PUT", "POST", "PATCH"):
        found.request = f"{owner.type}_patch" if method == "PATCH" else owner.type
        found.example = owner.type
    if method != "GET":
        found.empty[412] = "Another revision than `If-Match` names"
        found.parameters.append(_IF_MATCH)
    if method == "DELETE":
        found.parameters.append(parameter("should_soft_delete", "query", "false: delete for good", _BOOLEAN))


def _is_list(handler: Handler) -> bool:
    """Tell whether a handler answers with a list of rows: they go through one of these functions."""
    return bool(_LIST_MAKERS.intersection(_names_in(handler)))


def _names_in(handler: Handler) -> tuple[str, ...]:
    """Return the names that a handler's code uses."""
    function = getattr(handler, "__func__", handler)
    return tuple(getattr(getattr(function, "__code__", None), "co_names", ()))


_LIST_MAKERS: Final = frozenset(
    {"document_list", "whole_list", "listing_reply", "plain_list", "_listing", "_accounts", "_of"}
)


def _as_list(found: Described) -> None:
    found.is_list = True
    found.parameters += [*PAGING, *FILTERS]
    found.errors.add(416)
    found.empty[204] = "CSV without rows"
    found.content_types = ("application/json", "text/csv")


def _specially(found: Described, special: Special) -> None:
    found.summary = special.title or found.summary
    found.success = special.success or found.success
    found.errors |= special.errors
    found.empty |= special.empty
    found.parameters += special.parameters
    found.content_types = special.answers or found.content_types
    found.request_fields = special.fields
    found.request_files = special.files
    found.answer_example = special.example
    if special.request:
        found.request = found.example = special.request
    if special.call:
        found.errors |= {409, 422}
        found.parameters += _call_options(special.call)


def _call_options(name: str) -> list[Schema]:
    """Return the options of a call as query parameters."""
    options = [
        parameter(option, "query", schema.get("description", option), _of_query(schema))
        for option, schema in REQUESTS[name]["properties"].items()
        if schema.get("type") != "object" and option != "dry_run"
    ]
    return [*options, _DRY_RUN, _IDEMPOTENCY]


def _of_query(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if not key.startswith("x-") and key != "description"}


def _summary(method: str, handler: Handler) -> str:
    """Return a title: of a collection's own operations from the type, else the docstring's first line."""
    owner, name = getattr(handler, "__self__", None), getattr(handler, "__name__", "")
    if isinstance(owner, Collection) and name in _TITLES and owner.type in DOCUMENTS:
        return _TITLES[name].format(noun=owner.noun, type=owner.type.replace("_", " "))
    lines = (inspect.getdoc(handler) or "").strip().splitlines()
    first = _HEAD.sub("", lines[0] if lines else "")
    first = _OF.sub(_VERBS.get(method, ""), first)
    return first[:1].upper() + first[1:].rstrip(".")


_TITLES: Final = {
    "index": "List {noun}",
    "create": "Create: {type}",
    "read": "Read: {type}",
    "replace": "Replace: {type}",
    "patch": "Change fields: {type}",
    "delete": "Delete: {type}",
}
_HEAD: Final = re.compile(r"^(GET|PUT|POST|PATCH|DELETE)( [^:`]*)?: ")
_OF: Final = re.compile(r"^(GET|PUT|POST|PATCH|DELETE) (of |to )")
_VERBS: Final = {"DELETE": "delete ", "PATCH": "change ", "PUT": "create in ", "POST": "replace "}


def _tag(path: str) -> str:
    words = [word for word in path.split("/") if not word.startswith("{")]
    return words[1] if words[0] == "accounts" and len(words) > 1 else words[0]
