"""Header fields of one message: order kept, names without case, compact forms understood."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from .errors import LocalHeaderInjection
from .grammar import is_token, split_outside

_COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"""IANA's registry of compact forms (RFC 3261, 3265, 3515, 3841, 3892, 4028, 8224)."""

_LIST_NAMES: Final = (
    "accept accept-contact accept-encoding accept-language alert-info allow allow-events call-info contact "
    "content-encoding content-language diversion error-info history-info in-reply-to p-asserted-identity "
    "p-preferred-identity path privacy proxy-require reason record-route reject-contact require route "
    "security-client security-server security-verify service-route supported unsupported via warning"
)
_LISTS: Final = frozenset(_LIST_NAMES.split())
"""Headers whose grammar is a comma list. Authorization and the challenges hold commas but are none."""

_KNOWN_NAMES: Final = (
    "Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authentication-Info Authorization "
    "Call-ID Call-Info "
    "Contact Content-Disposition Content-Encoding Content-Length Content-Type CSeq Date Diversion Event "
    "Expires From History-Info Max-Forwards Min-Expires Min-SE MIME-Version Organization "
    "P-Asserted-Identity Path Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck Reason "
    "Record-Route Refer-To "
    "Referred-By Remote-Party-ID Require Retry-After Route RSeq Server Session-Expires Subject Supported "
    "Timestamp To Unsupported User-Agent Via Warning WWW-Authenticate"
)
_KNOWN: Final = _KNOWN_NAMES.split()
_KEYS: Final = (
    {name: name.lower() for name in _KNOWN}
    | {name.lower(): name.lower() for name in _KNOWN}
    | _COMPACT
    | {letter.upper(): name for letter, name in _COMPACT.items()}
)
"""Spellings that need no work; a fixed table, because a cache of what peers send would grow."""


known_key = _KEYS.get
"""Return the key of a well-known header in a usual spelling; None: ask header_key."""


def header_key(name: str) -> str:
    """Return the long lower-case form of a header name, or "" if it is no token."""
    key = known_key(name)
    if key is not None:
        return key
    if not is_token(name):
        return ""
    key = name.lower()
    return _COMPACT.get(key, key)


class Headers:
    """Header fields as (name, value) in order; values are unfolded and otherwise as written.

    `parsed` caches what SipMessage made of a header; a change of that header drops it.
    """

    __slots__ = ("_fields", "_lines", "parsed")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = [(known_key(name) or _key_or_raise(name), name, value) for name, value in fields]
        self._lines: dict[str, list[str]] | None = None
        self.parsed: dict[str, Any] = {}

    @classmethod
    def of_parsed(cls, fields: list[tuple[str, str, str]]) -> "Headers":
        """Return headers made of (key, name, value); for the parser and copies, nothing is checked."""
        headers = cls()
        headers._fields = fields
        return headers

    def by_key(self) -> dict[str, list[str]]:
        """Return the lines of each header by its long lower-case name; not to be changed by the caller."""
        index = self._lines
        if index is None:
            index = self._lines = {key: [value] for key, _, value in self._fields}
            if len(index) != len(self._fields):
                for key in index:
                    index[key] = []
                for key, _, value in self._fields:
                    index[key].append(value)
        return index

    def lines(self, name: str) -> list[str]:
        """Return the value of each line of this name; not to be changed by the caller."""
        return self.by_key().get(known_key(name) or header_key(name)) or []

    def get(self, name: str) -> str | None:
        """Return the value of the first line of this name, or None."""
        lines = self.lines(name)
        return lines[0] if lines else None

    def get_all(self, name: str) -> list[str]:
        """Return every value: lines, split at commas where the header's grammar is a list."""
        key = known_key(name) or header_key(name)
        lines = self.by_key().get(key) or []
        if key not in _LISTS:
            return list(lines)
        if len(lines) == 1 and lines[0] and "," not in lines[0]:
            return [lines[0]]
        values = [value.strip(" \t") for line in lines for value in split_outside(line, ",")]
        return [value for value in values if value]

    def add(self, name: str, value: str) -> None:
        """Append a line. Raises LocalHeaderInjection if name is no token (values: see serialize)."""
        key = known_key(name) or _key_or_raise(name)
        self._fields.append((key, name, value))
        if self._lines is not None or self.parsed:  # not while a message is being built
            self._changed(key)

    def prepend(self, name: str, value: str) -> None:
        """Put a line before all others; Via and Record-Route grow this way."""
        key = known_key(name) or _key_or_raise(name)
        self._fields.insert(0, (key, name, value))
        self._changed(key)

    def set(self, name: str, value: str) -> None:
        """Let one line of this name remain: in place of the first, or at the end."""
        key = _key_or_raise(name)
        at = next((at for at, field in enumerate(self._fields) if field[0] == key), len(self._fields))
        rest = [field for field in self._fields[at:] if field[0] != key]
        self._fields[at:] = [(key, name, value), *rest]
        self._changed(key)

    def remove(self, name: str) -> None:
        """Drop every line of this name; none there is no error."""
        key = header_key(name)
        self._fields = [field for field in self._fields if field[0] != key]
        self._changed(key)

    def replace_first(self, name: str, value: str | None) -> None:
        """Replace the first element of a comma list, or remove it (None): the top Via, the top Route."""
        key = header_key(name)
        at = next((at for at, field in enumerate(self._fields) if field[0] == key), None)
        if at is None:
            return
        _, spelled, line = self._fields[at]
        rest = [part for part in split_outside(line, ",")[1:] if part.strip()]
        elements = rest if value is None else [value, *rest]
        self._fields[at : at + 1] = [(key, spelled, ",".join(elements))] if elements else []
        self._changed(key)

    def fields(self) -> list[tuple[str, str, str]]:
        """Return (key, name, value) of each line; not to be changed by the caller."""
        return self._fields

    def copy(self) -> "Headers":
        """Return headers that can be changed without changing these."""
        return Headers.of_parsed(self._fields.copy())

    def _changed(self, key: str) -> None:
        self._lines = None
        self.parsed.pop(key, None)

    def __contains__(self, name: str) -> bool:
        return bool(self.lines(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(name, value) for _, name, value in self._fields])

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __repr__(self) -> str:
        return f"Headers({list(self)!r})"


def _key_or_raise(name: str) -> str:
    key = header_key(name)
    if not key:
        raise LocalHeaderInjection(f"header name {name!r}")
    return key
