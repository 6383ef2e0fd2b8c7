"""`/openapi.json`, and `/docs`: the same as a page that needs no script, no style sheet and no network."""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from html import escape
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from offhook.api.routing import Routes

from .document import openapi

CACHE: Final = {"cache-control": "no-cache", "access-control-allow-origin": "*"}
"""The document changes with the version: ask again, but tools on other sites may read it."""

STYLE: Final = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h2{margin-top:2.5rem;border-bottom:1px solid #8888}
details{border:1px solid #8886;border-radius:4px;margin:.4rem 0;padding:.3rem .6rem}
summary{cursor:pointer;overflow-wrap:anywhere}
code,pre{font:14px/1.4 ui-monospace,monospace}
pre{overflow-x:auto;background:#8882;padding:.6rem;border-radius:4px}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #8884}
.method{display:inline-block;min-width:4.2rem;font-weight:700}
nav a{margin-right:.8rem}
"""


_CODE: Final = re.compile(r"`([^`]+)`")


class Documentation:
    """Serves both. They are made at the first request and kept: the routes never change."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    @cached_property
    def _document(self) -> dict[str, Any]:
        return openapi(self._routes)

    @cached_property
    def _json(self) -> bytes:
        return msgspec.json.encode(self._document)

    @cached_property
    def _page(self) -> bytes:
        return page(self._document).encode()

    async def openapi_json(self, request: Request) -> Response:
        """Give the document."""
        return Response(self._json, media_type="application/json", headers=CACHE)

    async def docs(self, request: Request) -> Response:
        """Give the page."""
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(self._page, media_type="text/html", headers=CACHE | policy)

    def routes(self) -> list[BaseRoute]:
        """Return their routes."""
        return [Route("/openapi.json", self.openapi_json), Route("/docs", self.docs)]


def page(document: dict[str, Any]) -> str:
    """Return the whole page. Ids stand inside what is folded: browsers unfold what a link leads into."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    operations = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    errors = {name: error["description"] for name, error in document["components"]["responses"].items()}
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>{escape(info['title'])} API</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}: the API</h1>",
        f"<p>{_prose(info['description'])}</p>",
        "<p>For programs: <a href='openapi.json'>openapi.json</a> (OpenAPI 3.1).</p><nav>",
        *(f"<a href='#{escape(tag)}'>{escape(tag)}</a>" for tag in tags),
        "</nav>",
    ]
    for tag in tags:
        parts.append(f"<h2 id='{escape(tag)}'>{escape(tag)}</h2>")
        parts += [_operation(*entry, errors) for entry in operations if tag in entry[2]["tags"]]
    parts.append("<h2 id='schemas'>Documents</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    return "\n".join([*parts, "</body></html>"])


def _operation(path: str, method: str, operation: dict[str, Any], errors: dict[str, str]) -> str:
    parts = [
        f"<details><summary><code><span class='method'>{method.upper()}</span>{escape(path)}</code> ",
        f"{_prose(operation['summary'])}</summary><div id='{escape(operation['operationId'])}'>",
        _parameters(operation["parameters"]),
        _body(operation.get("requestBody")),
        _table(
            ("status", "meaning"),
            [_response(status, response, errors) for status, response in operation["responses"].items()],
        ),
        "</div></details>",
    ]
    return "".join(parts)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = [
        (parameter["name"], parameter["in"], _type(parameter["schema"]), parameter["description"])
        for parameter in parameters
    ]
    return _table(("parameter", "in", "type", ""), rows) if rows else ""


def _body(body: dict[str, Any] | None) -> str:
    if body is None:
        return ""
    parts = []
    for kind, media in body["content"].items():
        data = media["schema"].get("properties", {}).get("data", {})
        parts.append(f"<p>Body, {escape(kind)}: {_link(data)}</p>")
        if data.get("properties"):
            rows = [
                (name, _type(part), part.get("description", "")) for name, part in data["properties"].items()
            ]
            parts.append(_table(("field", "type", ""), rows))
        if "example" in media:
            parts.append(f"<pre>{escape(json.dumps(media['example'], indent=2))}</pre>")
    return "".join(parts)


def _response(status: str, response: dict[str, Any], errors: dict[str, str]) -> tuple[str, str]:
    name = str(response.get("$ref", "")).rpartition("/")[2]
    return status, response.get("description") or errors[name]


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (field, _type(part) + (", required" if field in required else ""), part.get("description", ""))
        for field, part in schema.get("properties", {}).items()
    ]
    about = _prose(schema.get("title") or schema.get("description", ""))
    head = f"<details><summary><code>{escape(name)}</code> {about}</summary>"
    return f"{head}<div id='schema-{escape(name)}'>{_table(('field', 'type', ''), rows)}</div></details>"


def _link(schema: dict[str, Any]) -> str:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if not name:
        kind = schema.get("type", "")
        what = {"object": "an object", "array": "a list of objects"}.get(kind, "the file")
        return f"<code>data</code>: {what}" if kind else what
    return f"<code>data</code>: <a href='#schema-{escape(name)}'>{escape(name)}</a>"


def _type(schema: dict[str, Any]) -> str:
    """Return a schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    found = schema.get("type", "anything")
    words = [found if isinstance(found, str) else " or ".join(found)]
    for keyword, word in (
        ("minimum", "from"),
        ("maximum", "to"),
        ("maxLength", "up to"),
        ("default", "default"),
    ):
        if keyword in schema:
            words.append(f"{word} {json.dumps(schema[keyword])}")
    return ", ".join(words)


def _prose(text: str) -> str:
    """Return text with what stands between backticks as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th scope='col'>{escape(title)}</th>" for title in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_prose(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
