"""What webhooks send, shown by a call that was never made: the same code as for real ones."""

from collections.abc import Iterable
from typing import Final

from offhook.calls import Call
from offhook.calls.events import (
    Fact,
    HoldRequested,
    LegAnswered,
    LegEnded,
    LegRinging,
    LegsJoined,
    UnholdRequested,
)
from offhook.calls.model import CallPlan, EndpointKind, EndpointPlan, PartyPlan, RingStep, Side
from offhook.calls.states import Output
from offhook.directory.model import Json

from .channel_events import ChannelEvents
from .webhooks import call_payload

ACCOUNT: Final = "4" * 32
BUTTON: Final = "c" * 32
CALL: Final = f"c2c-{BUTTON}-a1b2c3d4e5"
REALM: Final = "acme.sip.example.com"
OUTSIDE: Final = "+14158867900"
BEGIN_S: Final = 1_709_637_753.0

SECOND: Final = "7d3f5a1c-leg"

_HAPPENINGS: Final = (
    (1.0, LegRinging(CALL)),
    (3.0, LegAnswered(CALL)),
    (0.5, LegRinging(SECOND)),
    (4.0, LegAnswered(SECOND)),
    (0.1, LegsJoined(CALL, SECOND)),
    (10.0, HoldRequested(CALL)),
    (5.0, UnholdRequested(CALL)),
    (27.0, LegEnded(SECOND, "NORMAL_CLEARING", 200, "OK", by_peer=True)),
    (0.1, LegEnded(CALL, "NORMAL_CLEARING", 200, "OK")),
)
"""Seconds after the step before, and what an engine reports."""

HOOKS: Final[tuple[tuple[str, str, str], ...]] = (
    ("channel_create", "Channel Create", "A leg of a call is being rung"),
    ("channel_answer", "Channel Answer", "A leg was answered"),
    ("channel_bridge", "Channel Bridge", "Two legs can hear each other"),
    ("channel_hold", "Channel Hold", "A joined leg was put on hold"),
    ("channel_unhold", "Channel Unhold", "A leg on hold was taken back"),
    ("channel_destroy", "Channel Destroy", "A leg is over; the last one of a call carries its outcome"),
    ("object", "Object", "A document was created, changed or deleted"),
    ("all", "All", "Every event"),
)
"""Id, name and description of what a webhook may ask for."""


def samples() -> dict[str, list[Json]]:
    """Return example payloads by sample name, `webhooks_channel_create` and so on."""
    found: dict[str, list[Json]] = {f"webhooks_{hook}": [] for hook, _, _ in HOOKS if hook != "all"}
    for payload in _payloads_of_a_call():
        found[f"webhooks_{payload['hook_event']}"].append(payload)
    found["webhooks_object"] = [
        {"account_id": ACCOUNT, "action": action, "id": "d" * 32, "type": "device"}
        for action in ("doc_created", "doc_edited", "doc_deleted")
    ]
    return found


def _payloads_of_a_call() -> Iterable[Json]:
    events = ChannelEvents()
    events.want(lambda plan: True)
    call, now = Call(_plan(), BEGIN_S), BEGIN_S
    yield from _payloads(events, call, now, call.start(now))
    for seconds, happening in _HAPPENINGS:
        now += seconds
        yield from _payloads(events, call, now, call.receive(happening, now))


def _payloads(events: ChannelEvents, call: Call, now: float, outputs: list[Output]) -> Iterable[Json]:
    for fact in outputs:
        if isinstance(fact, Fact):
            yield from (call_payload(event) for event in events.take(call, now, fact))


def _plan() -> CallPlan:
    return CallPlan(
        call_id=CALL,
        account_id=ACCOUNT,
        kind="clicktocall",
        authorizing_id=BUTTON,
        authorizing_type="clicktocall",
        interaction_id="63876500000-1a2b3c4d",
        first=_party(Side.EXTENSION, "1001", CALL, EndpointKind.DEVICE, f"sip:dev1@{REALM}"),
        second=_party(
            Side.CONTACT, OUTSIDE, SECOND, EndpointKind.GATEWAY, f"sip:{OUTSIDE}@carrier.example.com"
        ),
        custom_application_vars={"ticket": "42"},
        contact=OUTSIDE,
    )


def _party(side: Side, number: str, leg_id: str, kind: EndpointKind, to: str) -> PartyPlan:
    endpoint = EndpointPlan(
        leg_id=leg_id,
        kind=kind,
        endpoint_id="d" * 32,
        request_uri=to,
        to_uri=to,
        from_uri=f"sip:{OUTSIDE}@{REALM}",
        caller_id_name="Support button",
        caller_id_number=OUTSIDE,
        callee_id_name=number,
        callee_id_number=number,
    )
    return PartyPlan(side=side, number=number, steps=(RingStep(endpoints=(endpoint,), timeout_s=30.0),))
