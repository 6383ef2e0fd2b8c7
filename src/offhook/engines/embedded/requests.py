"""What a leg's requests say: the INVITE of an endpoint's plan, and the reasons of CANCEL and BYE."""

from typing import Final

from offhook.calls import policy
from offhook.calls.model import EndpointPlan
from offhook.sip.commands import EndReason, HeaderLines, InviteRequest
from offhook.sip.events import DialogEnded
from offhook.sip.flows import Flow
from offhook.sip.grammar import quote

from .identities import LegIdentity

RETRY_LATER: Final[HeaderLines] = (("Retry-After", "10"),)
"""With 503 to a caller: what was full or broken a moment ago may not be soon."""


def invite_request(endpoint: EndpointPlan, identity: LegIdentity, flow: Flow, offer: bytes) -> InviteRequest:
    """Return the INVITE of an endpoint. The same plan gives the same request in a later process."""
    display = quote(endpoint.caller_id_name) if endpoint.caller_id_name else ""
    return InviteRequest(
        request_uri=endpoint.request_uri,
        from_=f"{display} <{endpoint.from_uri}>".lstrip(),
        to=f"<{endpoint.to_uri}>",
        flow=flow,
        same_flow=bool(endpoint.flow_id),
        call_id=endpoint.leg_id,
        local_tag=identity.tag,
        branch=identity.branch,
        route_set=endpoint.route_set,
        headers=endpoint.headers,
        body=offer,
        username=endpoint.username,
        password=endpoint.password,
        realm=endpoint.realm,
    )


def reason_of(cause: str) -> EndReason:
    """Return the Reason of a CANCEL (RFC 3326)."""
    if cause == "LOSE_RACE":
        return EndReason("SIP", 200, "Call completed elsewhere")
    number = policy.Q850.get(cause)
    return EndReason("Q.850", number, cause) if number else EndReason("SIP", 487, cause)


def bye_headers(cause: str) -> tuple[tuple[str, str], ...]:
    """Return the header fields of a BYE that say why."""
    number = policy.Q850.get(cause, policy.Q850["NORMAL_CLEARING"])
    return (("Reason", str(EndReason("Q.850", number, cause))),)


def refusal_headers(cause: str, status: int) -> HeaderLines:
    """Return the header fields of a refusal: why (RFC 6432), and when to try again."""
    number = policy.Q850.get(cause)
    reason = (("Reason", str(EndReason("Q.850", number, cause))),) if number else ()
    return (*reason, *RETRY_LATER) if status == 503 else reason


def cause_of_bye(event: DialogEnded) -> str:
    """Return the peer's Q.850 cause from its Reason header (RFC 3326), or normal clearing."""
    value = (event.request.headers.get("Reason") or "") if event.request else ""
    if not value.lower().startswith("q.850"):
        return "NORMAL_CLEARING"
    numbers = [
        part.partition("=")[2] for part in value.split(";") if part.strip().lower().startswith("cause=")
    ]
    return _CAUSE_BY_NUMBER.get(numbers[0].strip() if numbers else "", "NORMAL_CLEARING")


_CAUSE_BY_NUMBER: Final = {str(number): cause for cause, number in policy.Q850.items()}
