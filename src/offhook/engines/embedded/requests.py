"""The INVITE of an endpoint's plan; what CANCEL, BYE and refusals say is in reasons.py."""

from offhook.calls.model import EndpointPlan
from offhook.sip.commands import InviteRequest
from offhook.sip.flows import Flow
from offhook.sip.grammar import quote

from .identities import LegIdentity
from .redirects import with_history


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
