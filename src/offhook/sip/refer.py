"""Transfers in SIP: REFER and its reports (RFC 3515), Replaces (RFC 3891), Referred-By (RFC 3892).

Values are parsed and written here; who may refer whom is decided elsewhere.
"""

import re
from typing import Final, Self
from urllib.parse import quote, unquote

import msgspec

from .errors import RemoteMalformed
from .grammar import NameAddr, Parameters, parse_digits, split_outside

REFER_EVENT: Final = "refer"
SIPFRAG: Final = "message/sipfrag;version=2.0"
"""Content type of a report: the start of an answer to the request that was asked for (RFC 3420)."""
MAX_TARGET_CHARS: Final = 1_024
"""Of a Refer-To: no number or URI is longer, and it becomes a Request-URI."""

_status_line = re.compile(rb"\s*SIP/2\.0[ \t]+([1-6][0-9]{2})(?:[ \t]+([^\r\n]{0,200}))?").match


class Replaces(msgspec.Struct, frozen=True):
    """The dialog a new INVITE takes the place of, seen by who receives that INVITE."""

    call_id: str
    to_tag: str
    """The receiver's own tag."""
    from_tag: str
    """The tag of the one who is replaced."""
    early_only: bool = False
    """Only if it is not answered yet."""

    @classmethod
    def parse(cls, text: str, header: str = "Replaces") -> Self:
        """Parse `call-id;to-tag=…;from-tag=…`. Raises RemoteMalformed."""
        call_id, *_ = split_outside(text, ";")
        params = Parameters.parse(text[len(call_id) :], header)
        call_id = call_id.strip(" \t")
        to_tag, from_tag = params.get("to-tag"), params.get("from-tag")
        if not call_id or " " in call_id or to_tag is None or from_tag is None:
            raise RemoteMalformed(header, "no dialog: Call-ID, to-tag and from-tag")
        return cls(call_id, to_tag, from_tag, "early-only" in params)

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


class ReferTo(msgspec.Struct, frozen=True):
    """Whom the receiver of a REFER is to call."""

    uri: str
    """As written, but for the headers after its question mark."""
    method: str = "INVITE"
    replaces: Replaces | None = None
    """Set for an attended transfer: the dialog the target gives up."""

    @classmethod
    def parse(cls, text: str, header: str = "Refer-To") -> Self:
        """Parse a Refer-To. Headers but Replaces are left out: a peer must not write our INVITE.

        Raises RemoteMalformed.
        """
        if len(text) > MAX_TARGET_CHARS:
            raise RemoteMalformed(header, "too long")
        uri, _, headers = NameAddr.parse(text, header).uri.partition("?")
        fields = {name.lower(): unquote(value) for name, _, value in _pairs(headers)}
        plain, method = _without_method(uri)
        replaces = Replaces.parse(fields["replaces"]) if fields.get("replaces") else None
        return cls(plain, method, replaces)

    def __str__(self) -> str:
        method = "" if self.method == "INVITE" else f";method={self.method}"
        headers = f"?Replaces={quote(str(self.replaces), safe='')}" if self.replaces is not None else ""
        return f"<{self.uri}{method}{headers}>"


def _pairs(headers: str) -> list[tuple[str, str, str]]:
    return [item.partition("=") for item in headers.split("&") if item]


def _without_method(uri: str) -> tuple[str, str]:
    """Return the URI without its method parameter, and the method."""
    base, *params = uri.split(";")
    methods = [item.partition("=")[2] for item in params if item.lower().startswith("method=")]
    kept = [item for item in params if not item.lower().startswith("method=")]
    return ";".join([base, *kept]), methods[0].upper() if methods else "INVITE"


class SubscriptionState(msgspec.Struct, frozen=True):
    """Whether more reports follow (RFC 6665 8.2.3)."""

    state: str
    """`active`, `pending` or `terminated`, lower case."""
    expires_s: int | None = None
    reason: str = ""

    @classmethod
    def parse(cls, text: str, header: str = "Subscription-State") -> Self:
        """Parse `active;expires=60` or `terminated;reason=noresource`. Raises RemoteMalformed."""
        word, *_ = split_outside(text, ";")
        params = Parameters.parse(text[len(word) :], header)
        expires = params.get("expires")
        seconds = None if expires is None else parse_digits(expires, 2**31)
        return cls(word.strip(" \t").lower(), seconds, params.get("reason") or "")

    def __str__(self) -> str:
        expires = "" if self.expires_s is None else f";expires={self.expires_s}"
        return f"{self.state}{expires}{f';reason={self.reason}' if self.reason else ''}"


def sipfrag(status: int, reason: str) -> bytes:
    """Return the body of a report: `SIP/2.0 180 Ringing`. Line breaks in the reason are left out."""
    return f"SIP/2.0 {status} {' '.join(reason.split())}".rstrip().encode() + b"\r\n"


def status_of_sipfrag(body: bytes) -> tuple[int, str] | None:
    """Return status and reason of a report, or None if it has no status line."""
    found = _status_line(body)
    return None if found is None else (int(found[1]), (found[2] or b"").decode("utf-8", "replace").strip())
