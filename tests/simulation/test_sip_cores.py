"""Cores joined by a network that drops, repeats, delays and reorders: every call ends once, nothing is left.

A failure prints its seed; the run is the same each time.
"""

import random
from collections import Counter
from typing import TypeVar

import msgspec
import pytest

from offhook.sip.dialogs import Dialog
from offhook.sip.events import (
    Cancelled,
    DialogEnded,
    InviteAnswered,
    InviteEnded,
    InviteProgress,
    ReinviteAnswered,
    ReinviteFailed,
    RequestReceived,
    SipEvent,
)
from offhook.sip.records import DialogRecord, InviteRecord
from offhook.sip.transactions import ServerTransaction
from tests.unit.sip.peers import SDP, THEM, THIRD, US, VirtualNetwork, invite_to, make_core

Record = TypeVar("Record", InviteRecord, DialogRecord)

CALLS = 150
QUIET_S = 500.0
"""After the last action: longer than ringing unanswered, CANCEL and BYE without an answer together."""


class Caller:
    """Places calls, cancels or hangs up at random instants, and checks what it is told."""

    def __init__(self, network: VirtualNetwork, seed: int) -> None:
        self.network = network
        self.random = random.Random(seed)
        self.core = make_core(US, seed=seed)
        self.told: dict[object, list[str]] = {}
        self.outcomes: Counter[str] = Counter()
        self.open_dialogs: set[Dialog] = set()
        network.add(US, self.core, self.take)

    def call(self, now: float) -> None:
        remote = self.random.choice((THEM, THIRD))
        transport = self.random.choice(("udp", "udp", "udp", "tcp"))
        invite = self.core.invite(invite_to(remote, transport=transport), now)
        self.told[invite] = []
        if self.random.random() < 0.4:
            self.network.at(now + self.random.uniform(0, 4), lambda t: self.cancel(invite, t))

    def cancel(self, invite: object, now: float) -> None:
        self.core.cancel(invite, now)  # type: ignore[arg-type]
        if not self.told[invite] or self.told[invite] == ["progress"]:
            self.told[invite].append("cancel")

    def take(self, event: SipEvent, now: float) -> None:
        if isinstance(event, InviteProgress):
            assert "cancel" not in self.told[event.invite]
            if not self.told[event.invite]:
                self.told[event.invite].append("progress")
        elif isinstance(event, InviteAnswered):
            self._answered(event, now)
        elif isinstance(event, InviteEnded):
            assert not {"answered", "ended"} & set(self.told[event.invite])
            self.told[event.invite].append("ended")
            self.outcomes[str(event.cause)] += 1
        elif isinstance(event, DialogEnded):
            self.open_dialogs.remove(event.dialog)
            self.outcomes[f"dialog {event.reason}"] += 1
        elif isinstance(event, ReinviteAnswered):
            self.core.send_ack(event.dialog, b"", now)
        elif isinstance(event, RequestReceived):
            self.core.respond(event.transaction, 200, body=SDP, now=now)
        else:
            assert isinstance(event, ReinviteFailed | Cancelled) or event.__class__.__name__ == "AckReceived"

    def _answered(self, event: InviteAnswered, now: float) -> None:
        assert not {"answered", "ended", "cancel"} & set(self.told[event.invite])
        self.told[event.invite].append("answered")
        self.open_dialogs.add(event.dialog)
        self.core.send_ack(event.dialog, b"", now)
        if self.random.random() < 0.3:
            self.network.at(now + self.random.uniform(0, 1), lambda t: self.reinvite(event.dialog, t))
        if self.random.random() < 0.7:
            self.network.at(now + self.random.uniform(0, 3), lambda t: self.core.bye(event.dialog, t))

    def reinvite(self, dialog: Dialog, now: float) -> None:
        if not dialog.is_over:
            self.core.reinvite(dialog, SDP, now)


class Phone:
    """Rings, answers, refuses, hangs up, changes its session: at random instants."""

    def __init__(self, network: VirtualNetwork, address: tuple[str, int], seed: int) -> None:
        self.network = network
        self.random = random.Random(seed)
        self.core = make_core(address, seed=seed)
        self.open_dialogs: set[Dialog] = set()
        self.outcomes: Counter[str] = Counter()
        self.hangs_up = True
        network.add(address, self.core, self.take)

    def take(self, event: SipEvent, now: float) -> None:
        if isinstance(event, RequestReceived) and event.dialog is not None:
            self.core.respond(event.transaction, self.random.choice((200, 200, 488)), body=SDP, now=now)
        elif isinstance(event, RequestReceived):
            self._ring(event.transaction, now)
        elif isinstance(event, DialogEnded):
            self.open_dialogs.remove(event.dialog)
            self.outcomes[f"dialog {event.reason}"] += 1
        elif isinstance(event, ReinviteAnswered):
            self.core.send_ack(event.dialog, b"", now)

    def _ring(self, transaction: ServerTransaction, now: float) -> None:
        if self.random.random() < 0.8:
            self.core.respond(transaction, 180, now=now)
        status = self.random.choice((200, 200, 200, 200, 486, 603, 0))
        if status:
            when = now + self.random.uniform(0, 4)
            self.network.at(when, lambda t: self._answer(transaction, status, t))

    def _answer(self, transaction: ServerTransaction, status: int, now: float) -> None:
        dialog = self.core.respond(transaction, status, body=SDP if status == 200 else b"", now=now)
        if dialog is None or status != 200:
            return
        self.open_dialogs.add(dialog)
        if not self.hangs_up:
            return
        if self.random.random() < 0.3:
            self.network.at(now + self.random.uniform(0, 2), lambda t: self._reinvite(dialog, t))
        self.network.at(now + self.random.uniform(0, 6), lambda t: self.core.bye(dialog, t))

    def _reinvite(self, dialog: Dialog, now: float) -> None:
        if not dialog.is_over:
            self.core.reinvite(dialog, SDP, now)


def run(
    seed: int, *, loss: float = 0.0, repeat: float = 0.0, delay: float = 0.05, breaks: float = 0.0
) -> Counter[str]:
    network = VirtualNetwork(seed, loss=loss, repeat=repeat, delay=delay, breaks=breaks)
    caller = Caller(network, seed + 1)
    phones = [Phone(network, THEM, seed + 2), Phone(network, THIRD, seed + 3)]
    for number in range(CALLS):
        network.at(number * 0.05, caller.call)
    network.run(CALLS * 0.05 + QUIET_S)
    for invite, told in caller.told.items():
        assert told[-1:] in (["answered"], ["ended"]), f"{invite}: {told}"
    # A dialog may stand only if the BYE of its other end could not be sent, twice: somebody must notice.
    standing = sum(len(side.open_dialogs) for side in (caller, *phones))
    assert standing <= sum(side.outcomes["dialog transport"] for side in (caller, *phones))
    network.breaks = 0.0
    for side in (caller, *phones):
        for dialog in side.open_dialogs:
            side.core.bye(dialog, network.now)
    network.run(network.now + 100)
    for side in (caller, *phones):
        assert side.open_dialogs == set()
        assert side.core.is_idle
        assert side.core.timer_count == 0
    assert caller.outcomes.total() == CALLS
    return caller.outcomes


@pytest.mark.parametrize("seed", range(4))
def test_a_good_network(seed: int) -> None:
    outcomes = run(seed * 100)
    assert outcomes["transport"] == outcomes["dialog timeout"] == outcomes["dialog no-ack"] == 0
    assert outcomes["dialog bye"] > 10
    assert outcomes["canceled"] > 10
    assert outcomes["rejected"] > 10


@pytest.mark.parametrize("seed", range(6))
def test_a_bad_network(seed: int) -> None:
    outcomes = run(seed * 100 + 7, loss=0.1, repeat=0.1, delay=0.6)
    assert outcomes["dialog bye"] > 10


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_hardly_works(seed: int) -> None:
    outcomes = run(seed * 100 + 13, loss=0.5, repeat=0.3, delay=3.0)
    assert outcomes["dialog bye"] > 0


@pytest.mark.parametrize("seed", range(4))
def test_connections_that_break(seed: int) -> None:
    outcomes = run(seed * 100 + 23, loss=0.05, breaks=0.15)
    assert outcomes["transport"] > 0


@pytest.mark.parametrize("seed", range(8))
def test_reinvites_that_cross_are_both_answered_in_the_end(seed: int) -> None:
    network = VirtualNetwork(seed, delay=0.2)
    for number, address in enumerate((US, THEM)):
        network.add(address, make_core(address, seed=2 * seed + number), lambda event, now: None)
    told: list[SipEvent] = []
    dialogs: dict[tuple[str, int], Dialog] = {}

    def take(address: tuple[str, int], event: SipEvent, now: float) -> None:
        core = network.cores[address]
        told.append(event)
        if isinstance(event, RequestReceived):
            dialog = core.respond(event.transaction, 200, body=SDP, now=now)
            if dialog is not None:
                dialogs[address] = dialog
        elif isinstance(event, InviteAnswered | ReinviteAnswered):
            dialogs[address] = event.dialog
            core.send_ack(event.dialog, b"", now)

    for address in (US, THEM):
        network.takers[address] = lambda event, now, a=address: take(a, event, now)  # type: ignore[misc]
    network.cores[US].invite(invite_to(THEM), 0.0)
    for address in (US, THEM):
        network.at(5.0, lambda now, a=address: network.cores[a].reinvite(dialogs[a], SDP, now))  # type: ignore[misc]
    network.run(60.0)
    assert [type(event) for event in told].count(ReinviteAnswered) == 2
    assert not any(isinstance(event, ReinviteFailed) for event in told)


ANSWER_AT = 1.0
"""When the phone picks up; its packets take 0.1 s each way, so that the caller hears of it at 1.1."""


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("hundredths", range(0, 140, 2))
def test_a_cancel_at_any_instant_leaves_nothing(transport: str, hundredths: int) -> None:
    network = VirtualNetwork(hundredths)
    network.travel_time = 0.1
    told: dict[tuple[str, int], list[SipEvent]] = {US: [], THEM: []}

    def take_call(event: SipEvent, now: float) -> None:
        told[THEM].append(event)
        if isinstance(event, RequestReceived):
            network.cores[THEM].respond(event.transaction, 180, now=now)
            network.at(
                ANSWER_AT,
                lambda t: network.cores[THEM].respond(event.transaction, 200, body=SDP, now=t) and None,
            )

    def take_outcome(event: SipEvent, now: float) -> None:
        told[US].append(event)
        if isinstance(event, InviteAnswered):
            network.cores[US].send_ack(event.dialog, b"", now)

    network.add(US, make_core(US, seed=1), take_outcome)
    network.add(THEM, make_core(THEM, seed=2), take_call)
    invite = network.cores[US].invite(invite_to(THEM, transport=transport), 0.0)
    when = hundredths / 100
    network.at(when, lambda now: network.cores[US].cancel(invite, now))
    network.run(20.0)
    outcomes = [event for event in told[US] if isinstance(event, InviteAnswered | InviteEnded)]
    assert len(outcomes) == 1
    if when > 1.11:
        assert isinstance(outcomes[0], InviteAnswered)
        network.at(20.0, lambda now: network.cores[US].bye(outcomes[0].dialog, now))  # type: ignore[union-attr]
    else:
        assert isinstance(outcomes[0], InviteEnded)
        assert (outcomes[0].status, outcomes[0].cause) == (487, "canceled")
        assert network.cores[THEM].dialog_count == 0
    network.run(100.0)
    for core in network.cores.values():
        assert core.is_idle
        assert core.timer_count == 0


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_process_that_dies_leaves_no_leg_to_its_successor(seed: int, loss: float) -> None:
    network = VirtualNetwork(seed, loss=loss)
    invites: dict[str, InviteRecord] = {}
    dialogs: dict[str, DialogRecord] = {}
    phones = [Phone(network, THEM, seed), Phone(network, THIRD, seed + 1)]
    for phone in phones:
        phone.hangs_up = False

    def journal(event: SipEvent, now: float) -> None:
        if isinstance(event, InviteAnswered):
            network.cores[US].send_ack(event.dialog, b"", now)
            dialogs[event.dialog.call_id] = DialogRecord.of(event.dialog)
        elif isinstance(event, InviteEnded):
            del invites[event.invite.call_id]

    def call(now: float) -> None:
        invite = network.cores[US].invite(invite_to(THEM if now < 1 else THIRD), now)
        invites[invite.call_id] = InviteRecord.of(invite)

    network.add(US, make_core(US, seed=1), journal)
    for number in range(40):
        network.at(number * 0.05, call)
    network.run(3.0)
    assert dialogs

    successor = make_core(US, seed=2)
    ended: list[SipEvent] = []
    network.add(US, successor, lambda event, now: ended.append(event))
    network.now = 5.0  # what came in between is lost
    for call_id, record in read_back(invites, InviteRecord).items():
        if call_id in dialogs:
            dialog = successor.resume_dialog(read_back(dialogs, DialogRecord)[call_id])
            successor.bye(dialog, network.now)
        else:
            successor.cancel(successor.resume_invite(record, network.now), network.now)
    network.run(500.0)
    assert len(ended) == len(invites)
    for core in network.cores.values():
        assert core.is_idle
        assert core.timer_count == 0
    assert not any(phone.open_dialogs for phone in phones)


def read_back(records: dict[str, Record], kind: type[Record]) -> dict[str, Record]:
    """Return records as a journal gives them back."""
    return {
        call_id: msgspec.json.decode(msgspec.json.encode(record), type=kind)
        for call_id, record in records.items()
    }
