"""The next server of a name when one does not serve (RFC 3263 4.3): which INVITE goes where, and when.

The branch of an INVITE to one of several servers follows from its address, so that a later process can cancel
whichever of them was rung, in whatever order its own look-up names them.
"""

from binascii import crc32
from typing import Final

import msgspec

from offhook.sip.commands import InviteRequest
from offhook.sip.events import EndCause, InviteEnded
from offhook.sip.flows import Flow

SILENCE_S: Final = 3.0
"""Without any answer the next server is tried: two repeats over UDP are lost by then, and a carrier's grace
period (5 s) leaves the next one time. RFC 3261's own 32 s are longer than anybody waits."""

UNAVAILABLE: Final = 503


def is_worth_another(event: InviteEnded) -> bool:
    """Tell whether an INVITE ended in a way that says nothing of the callee, only of the server."""
    return event.cause in (EndCause.TIMEOUT, EndCause.TRANSPORT) or event.status == UNAVAILABLE


def request_to(request: InviteRequest, flow: Flow, *, is_one_of: bool) -> InviteRequest:
    """Return an INVITE as it goes to one of several servers, or to the only one: then as it is."""
    if not is_one_of:
        return request
    place = f"{flow.transport} {flow.remote[0]} {flow.remote[1]}"
    branch = f"{request.branch}.{crc32(place.encode()):08x}"
    return msgspec.structs.replace(request, flow=flow, branch=branch)
