"""What a leg's requests say: the INVITE of an endpoint's plan, and the reasons of CANCEL and BYE."""

from typing import Final

from offhook.calls import policy
from offhook.calls.model import EndpointPlan
from offhook.sip.commands import EndReason, HeaderLines, InviteRequest
from offhook.sip.flows import Flow
from offhook.sip.grammar import quote

from .identities import LegIdentity
from .redirects import with_history

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
        headers=with_history(endpoint),
        body=offer,
        username=endpoint.username,
        password=endpoint.password,
        realm=endpoint.realm,
    )


def refusal_headers(cause: str, status: int) -> HeaderLines:
    """Return the header fields of a refusal: why (RFC 6432), and when to try again."""
    number = policy.Q850.get(cause)
    reason = (("Reason", str(EndReason("Q.850", number, cause))),) if number else ()
    return (*reason, *RETRY_LATER) if status == 503 else reason
