"""Which requests and responses we take, and the status for those we do not (RFC 3261 8.1, 8.2, RFC 4475)."""

import re
from collections.abc import Container
from typing import Final

from .errors import RemoteMalformed
from .grammar import WILDCARD
from .message import Request, Response
from .uri import OPAQUE_SCHEMES, SipUri, scheme_of

SESSION_BODY: Final = "application/sdp"
_SESSION_METHODS: Final = frozenset(("INVITE", "UPDATE", "PRACK", "ACK"))
"""Methods whose body, if any, must be a session description."""
_NEVER_REQUIRING: Final = frozenset(("ACK", "CANCEL"))
"""Require is ignored in these (8.2.2.3)."""
_SINGLE: Final = ("content-type", "expires", "date", "content-disposition", "subject")
"""Headers that may be absent, and must not be repeated; the mandatory ones are checked by their parsers."""
# One digit for the day is no RFC 1123, but phones send it.
_is_date = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{1,2} "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
).fullmatch


def validate_request(
    request: Request, *, supported: Container[str] = frozenset(), forwards: bool = False
) -> int:
    """Return 0, or the status to answer: 400, 406, 415, 416, 420, 483, 505.

    supported holds the option tags (lower case) that Require may name; forwards is True where a
    request would be passed on, so that its hops count (16.3, RFC 7332). Methods and credentials are
    the caller's business. Never answer an ACK.
    """
    fault = request_fault(request, supported=supported, forwards=forwards)
    return 0 if fault is None else fault.status


def request_fault(
    request: Request, *, supported: Container[str] = frozenset(), forwards: bool = False
) -> RemoteMalformed | None:
    """Return the first thing wrong with a request, or None; see validate_request."""
    if request.version != "SIP/2.0":
        return RemoteMalformed("request-line", "not SIP/2.0", status=505)
    try:
        _check_headers(request)
        _check_request_uri(request.uri)
        if forwards and request.max_forwards == 0:
            return RemoteMalformed("max-forwards", "no hop left", status=483)
        if "require" in request.headers.by_key() and unsupported_options(request, supported):
            return RemoteMalformed("require", "an option we do not have", status=420)
        if request.method in _SESSION_METHODS:
            _check_session(request)
    except RemoteMalformed as fault:
        return fault
    return None


def unsupported_options(request: Request, supported: Container[str]) -> list[str]:
    """Return the option tags for the Unsupported header of a 420."""
    if request.method in _NEVER_REQUIRING:
        return []
    return [option for option in request.headers.get_all("require") if option.lower() not in supported]


def validate_response(response: Response) -> bool:
    """Tell whether a response may be matched to a transaction of ours; others are dropped (8.1.3.3)."""
    try:
        vias, _, _ = response.vias, response.cseq, response.call_id
        _, _, _ = response.from_, response.to, response.contacts
        _ = response.record_route
    except RemoteMalformed:
        return False
    return len(vias) == 1


def _check_headers(request: Request) -> None:
    """Parse what every request needs, and what it may have. Raises RemoteMalformed."""
    _, _, _, _, _ = request.vias, request.from_, request.to, request.call_id, request.max_forwards
    if request.cseq.method != request.method:
        raise RemoteMalformed("cseq", "method differs from the request line")
    present = request.headers.by_key()
    if "contact" in present:
        _check_contacts(request)
    if "route" in present:
        _ = request.route
    if "record-route" in present:
        _ = request.record_route
    if len(present) != len(request.headers):
        repeated = [key for key in _SINGLE if len(present.get(key, ())) > 1]
        if repeated:
            raise RemoteMalformed(repeated[0], "repeated")
    if "date" in present and not _is_date(present["date"][0]):
        raise RemoteMalformed("date", "not an RFC 1123 date in GMT")


def _check_contacts(request: Request) -> None:
    """Look into SIP URIs only: which other schemes may register is the registrar's business."""
    for contact in request.contacts:
        try:
            SipUri.parse(contact.uri, "contact")
        except RemoteMalformed as fault:
            if fault.status == 400 and contact is not WILDCARD:
                raise


def _check_request_uri(uri: str) -> None:
    try:
        headers = SipUri.parse(uri, "request-uri").headers
    except RemoteMalformed as fault:
        if scheme_of(uri) in OPAQUE_SCHEMES and fault.status == 416:
            return
        raise
    if headers:
        raise RemoteMalformed("request-uri", "headers are not allowed here")


def _check_session(request: Request) -> None:
    """Check that the body is one we read and that our answer would be one they read."""
    if request.body and _is_foreign_body(request):
        raise RemoteMalformed("content-type", f"not {SESSION_BODY}", status=415)
    is_answered_with_sdp = request.method == "INVITE" and "accept" in request.headers.by_key()
    if is_answered_with_sdp and not _accepts_sessions(request.headers.get_all("accept")):
        raise RemoteMalformed("accept", f"does not allow {SESSION_BODY}", status=406)


def _is_foreign_body(request: Request) -> bool:
    by_key = request.headers.by_key()
    if by_key.get("content-type") == [SESSION_BODY] and "content-encoding" not in by_key:
        return False
    encodings = [value.lower() for value in request.headers.get_all("content-encoding")]
    if request.content_type == SESSION_BODY and encodings in ([], ["identity"]):
        return False
    disposition = request.headers.get("content-disposition") or ""
    return "handling=optional" not in disposition.lower().replace(" ", "")


def _accepts_sessions(ranges: list[str]) -> bool:
    wanted = ("*/*", "application/*", SESSION_BODY)
    return any("".join(item.partition(";")[0].lower().split()) in wanted for item in ranges)
