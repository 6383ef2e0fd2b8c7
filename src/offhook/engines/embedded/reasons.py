"""Why: the Reason header of what we send and receive, and KAZOO's hangup causes (RFC 3326, RFC 6432).

Requests of ours say it twice, as Q.850 cause and as SIP status; a refusal has its status anyway. Of theirs
the Q.850 cause counts before the SIP one.
"""

from typing import Final

from offhook.calls import policy
from offhook.sip.commands import EndReason, HeaderLines
from offhook.sip.events import DialogEnded, InviteEnded
from offhook.sip.grammar import parse_digits
from offhook.sip.message import Request, Response

ELSEWHERE: Final = EndReason("SIP", 200, "Call completed elsewhere")
"""Phones that see it in a CANCEL list no missed call."""
MAX_RETRY_AFTER_S: Final = 2**31
RETRY_LATER: Final[HeaderLines] = (("Retry-After", "10"),)
"""With 503 to a caller: what was full or broken a moment ago may not be soon."""
_CAUSE_BY_NUMBER: Final = {number: cause for cause, number in policy.Q850.items()}
_SAYS_NOTHING: Final = frozenset(("NORMAL_CLEARING", "NORMAL_UNSPECIFIED", "INTERWORKING"))
"""Causes with which some carriers end everything: the SIP status of a refusal says more."""


def reason_of(cause: str) -> EndReason:
    """Return the Reason of a CANCEL."""
    if cause == "LOSE_RACE":
        return ELSEWHERE
    number = policy.Q850.get(cause)
    by_sip = EndReason("SIP", policy.refusal_of(cause), "" if number else cause)
    return EndReason("Q.850", number, cause, by_sip) if number else by_sip


def bye_headers(cause: str) -> HeaderLines:
    """Return the header fields of a BYE that say why."""
    number = policy.Q850.get(cause, policy.Q850["NORMAL_CLEARING"])
    by_sip = ELSEWHERE if cause == "LOSE_RACE" else EndReason("SIP", policy.refusal_of(cause))
    also = None if cause == "NORMAL_CLEARING" else by_sip
    return (("Reason", str(EndReason("Q.850", number, cause, also))),)


def refusal_headers(cause: str, status: int) -> HeaderLines:
    """Return the header fields of a refusal: why (RFC 6432), and when to try again."""
    number = policy.Q850.get(cause)
    reason = (("Reason", str(EndReason("Q.850", number, cause))),) if number else ()
    return (*reason, *RETRY_LATER) if status == 503 else reason


def cause_in(message: Request | Response | None) -> str:
    """Return the hangup cause that a message names in its Reason headers; empty if it names none we know."""
    if message is None or "reason" not in message.headers.by_key():
        return ""
    found: dict[str, str] = {}
    for value in message.headers.get_all("reason"):
        protocol, number = _read(value)
        if protocol == "q.850" and number in _CAUSE_BY_NUMBER:
            found.setdefault("q.850", _CAUSE_BY_NUMBER[number])
        elif protocol == "sip" and number == ELSEWHERE.cause:
            found.setdefault("sip", "LOSE_RACE")
        elif protocol == "sip" and number >= 300:
            found.setdefault("sip", policy.cause_of_sip(number))
    return found.get("q.850") or found.get("sip") or ""


def cause_of_bye(event: DialogEnded) -> str:
    """Return why the peer hung up; normal clearing if it does not say."""
    return cause_in(event.request) or "NORMAL_CLEARING"


def cause_of_refusal(event: InviteEnded) -> str:
    """Return why an INVITE was refused: what its Reason says (RFC 6432), else what the status means."""
    told = cause_in(event.response)
    return told if told and told not in _SAYS_NOTHING else policy.cause_of_sip(event.status)


def retry_after_of(response: Response | None) -> int:
    """Return the seconds of Retry-After (RFC 3261 20.33); 0 without one, or one that makes no sense."""
    value = response.headers.get("retry-after") if response is not None else None
    if not value:
        return 0
    return parse_digits(value.partition(";")[0].partition("(")[0].strip(), MAX_RETRY_AFTER_S) or 0


def _read(value: str) -> tuple[str, int]:
    """Return protocol (lower case) and cause of one Reason; cause 0 if there is none."""
    protocol, *params = value.split(";")
    for param in params:
        name, _, number = param.partition("=")
        if name.strip().lower() == "cause":
            return protocol.strip().lower(), parse_digits(number.strip(), 999) or 0
    return protocol.strip().lower(), 0
