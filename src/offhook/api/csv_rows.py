"""Any list as CSV (RFC 4180): `Accept: text/csv`, or `accept=csv`."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from offhook.directory.model import Json

from .envelope import Reply
from .request import Request


def wants_csv(request: Request) -> bool:
    """Tell whether the client asks for CSV."""
    accept = request.text_value("accept") or request.headers.get("accept", "")
    return accept == "csv" or "text/csv" in accept


def rows_as_csv(items: Sequence[Json]) -> Reply:
    """Return a list whose columns are the keys of its rows, in the order they first appear; 204 if empty."""
    if not items:
        return Reply(status=204, body=b"", content_type="text/csv")
    columns = list(dict.fromkeys(name for item in items for name in item))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(item.get(name)) for name in columns] for item in items)
    return Reply(body=text.getvalue().encode("utf-8", "replace"), content_type="text/csv")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
