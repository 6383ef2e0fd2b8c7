"""What phones ask for during a call, at its bounds: a stub stands for the SIP core, for nothing is sent."""

from typing import Any

import pytest

from offhook.calls.commands import DialLeg
from offhook.calls.events import LegHolds
from offhook.calls.model import EndpointKind, EndpointPlan, MediaMode
from offhook.engines.embedded.infos import MAX_BODY_BYTES, MAX_INFOS, Infos
from offhook.engines.embedded.legs import EngineLeg, Stage
from offhook.engines.embedded.relay import RelaySide
from offhook.engines.embedded.sessions import MAX_HOLDS, Sessions
from offhook.sip.events import AckReceived, RequestReceived
from offhook.sip.message import Headers, Request
from tests.unit.sip.peers import SDP


class StubCore:
    """Notes the answers, and sends nothing."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.infos = 0

    def respond(self, transaction: object, status: int, **more: object) -> None:
        self.answers.append(status)

    def request_in_dialog(self, dialog: object, method: str, now: float, **more: object) -> "StubCore":
        self.infos += 1
        return self

    context: object = None


class StubMedia:
    can_answer = True
    is_direct = False

    def take_late_answer(self, side: RelaySide, body: bytes) -> None:
        """Nothing to connect."""


class StubDialog:
    reinvite: object = None
    has_our_offer = False
    has_their_offer = False

    def __init__(self, context: object) -> None:
        self.context = context


class Desk:
    """Two legs of a joined call, and what the call machine hears."""

    monotonic = staticmethod(lambda: 1.0)

    def __init__(self) -> None:
        self.core = StubCore()
        self.leg, self.other = (self._leg(name) for name in "ab")
        self.reports: list[Any] = []
        self.report = self.reports.append
        self.sessions = Sessions(self, self, self)  # type: ignore[arg-type]
        self.infos = Infos(self, self, self)  # type: ignore[arg-type]

    def _leg(self, name: str) -> EngineLeg:
        endpoint = EndpointPlan(
            leg_id=name, kind=EndpointKind.DEVICE, request_uri="sip:x", to_uri="sip:x", from_uri="sip:y"
        )
        leg = EngineLeg(DialLeg("c", endpoint, MediaMode.PROCESS), StubMedia(), RelaySide.FIRST)  # type: ignore[arg-type]
        leg.stage, leg.dialog = Stage.ANSWERED, StubDialog(leg)  # type: ignore[assignment]
        return leg

    def other_of(self, leg: EngineLeg) -> EngineLeg:
        return self.other

    def info(self, body: bytes, kind: str = "application/dtmf-relay") -> int:
        request = Request("INFO", "sip:x", Headers([("Content-Type", kind)]), body)
        self.infos.take(RequestReceived(None, request, self.leg.dialog))  # type: ignore[arg-type]
        return self.core.answers[-1] if self.core.answers else 0

    def acknowledge(self, body: bytes) -> None:
        self.sessions.on_ack(AckReceived(self.leg.dialog, None, body))  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_phone_that_never_stops_holding_fills_no_journal(desk: Desk) -> None:
    held, active = SDP + b"a=sendonly\r\n", SDP
    for _ in range(MAX_HOLDS + 10):
        desk.acknowledge(held)
        desk.acknowledge(held)  # the same again says nothing new
        desk.acknowledge(active)
    assert len(desk.reports) == 2 * MAX_HOLDS
    assert desk.reports[-1] == LegHolds("a", False)


@pytest.mark.parametrize("body", [b"", b"nonsense", b"v=0\r\n", SDP.replace(b"audio 4000", b"audio 0")])
def test_what_says_nothing_of_sound_is_no_hold(desk: Desk, body: bytes) -> None:
    desk.acknowledge(body)
    assert desk.reports == []


def test_keys_that_nobody_answers_are_put_off(desk: Desk) -> None:
    for _ in range(MAX_INFOS):
        desk.info(b"Signal=1")
    assert (desk.core.infos, desk.core.answers) == (MAX_INFOS, [])
    assert desk.info(b"Signal=1") == 503
    assert desk.core.infos == MAX_INFOS


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), "application/dtmf-relay", 415),
        (b"<x/>", "application/xml", 415),
        (b"", "application/dtmf-relay", 200),
    ],
)
def test_what_is_not_passed_on(desk: Desk, body: bytes, kind: str, status: int) -> None:
    assert desk.info(body, kind) == status
    assert desk.core.infos == 0


def test_a_leg_nobody_knows(desk: Desk) -> None:
    desk.leg.dialog.context = None  # type: ignore[union-attr]
    assert desk.info(b"Signal=1") == 481


@pytest.mark.parametrize("busy_with", ["reinvite", "has_our_offer", "has_their_offer"])
def test_in_a_bypass_offers_that_cross_are_refused_at_once(desk: Desk, busy_with: str) -> None:
    """Both phones would wait for the answer of the other, and hold up their own."""
    desk.leg.media.is_direct, desk.leg.media.can_answer = True, False  # type: ignore[misc]
    setattr(desk.other.dialog, busy_with, True)
    request = Request("INVITE", "sip:x", Headers(()), SDP)
    desk.sessions.on_offer(RequestReceived(None, request, desk.leg.dialog))  # type: ignore[arg-type]
    assert desk.core.answers == [491]
