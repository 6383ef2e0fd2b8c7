"""A core that ends what a process before it began: INVITEs it may have sent, dialogs it had."""

import pytest

from offhook.sip.client_invite import branch_of
from offhook.sip.events import DialogEnded, InviteEnded
from offhook.sip.records import DialogRecord, InviteRecord
from tests.unit.sip.peers import THEM, US, Wire, invite_to
from tests.unit.sip.test_user_agent_client import assert_clean, given_dialog

TAG, BRANCH = "5eed" * 4, "z9hG4bK" + "5eed" * 5


def record_of_a_lost_invite(*, cseq: int = 1) -> InviteRecord:
    request = invite_to()
    return InviteRecord(
        request_uri=request.request_uri,
        from_=request.from_,
        to=request.to,
        call_id="lost",
        local_tag=TAG,
        cseq=cseq,
        branch=branch_of(BRANCH, cseq),
        route_set=(),
        contact="",
        transport="udp",
        local_address=US,
        remote_address=THEM,
    )


@pytest.fixture
def wire() -> Wire:
    return Wire()


def given_resumed_cancel(wire: Wire):
    invite = wire.core.resume_invite(record_of_a_lost_invite(), wire.now)
    wire.core.cancel(invite, wire.now)
    wire.settle()
    return invite


def test_tag_and_branch_given_by_the_caller_are_on_the_wire(wire: Wire) -> None:
    wire.core.invite(invite_to(local_tag=TAG, branch=BRANCH), wire.now)
    wire.settle()
    invite = wire.last("INVITE")
    assert invite.from_tag == TAG
    assert invite.via.branch == f"{BRANCH}-1"


def test_the_cancel_of_a_successor_matches_the_invite_of_its_predecessor(wire: Wire) -> None:
    wire.core.invite(invite_to(call_id="lost", local_tag=TAG, branch=BRANCH), wire.now)
    wire.settle()
    invite = wire.last("INVITE")
    successor = Wire(seed=2)
    given_resumed_cancel(successor)
    cancel = successor.last("CANCEL")
    for name in ("Via", "From", "To", "Call-ID"):
        assert cancel.headers.get(name) == invite.headers.get(name)
    assert (cancel.uri, cancel.cseq.number) == (invite.uri, invite.cseq.number)


def test_an_invite_the_far_end_cancels_is_over_at_its_487(wire: Wire) -> None:
    invite = given_resumed_cancel(wire)
    wire.answer(wire.last("CANCEL"), 200)
    assert not wire.seen(InviteEnded)
    wire.answer(invite.sent, 487)
    assert wire.one(InviteEnded).status == 487
    assert not invite.is_unknown
    assert wire.last("ACK").via.branch == f"{BRANCH}-1"
    wire.wait(400)
    assert_clean(wire)


def test_a_far_end_that_takes_the_cancel_and_says_no_more_had_its_ack_and_is_hung_up(wire: Wire) -> None:
    given_resumed_cancel(wire)
    wire.answer(wire.last("CANCEL"), 200, tag="answered")
    wire.wait(4.9)
    assert wire.requests("BYE") == []
    wire.wait(0.2)
    bye = wire.last("BYE")
    assert (bye.from_tag, bye.to_tag, bye.call_id) == (TAG, "answered", "lost")
    wire.answer(bye, 200)
    assert wire.one(InviteEnded).status == 487
    wire.wait(400)
    assert_clean(wire)


@pytest.mark.parametrize("rings_first", [True, False])
def test_a_cancel_that_overtook_its_invite_is_sent_again(wire: Wire, rings_first: bool) -> None:
    invite = given_resumed_cancel(wire)
    cancel = wire.last("CANCEL")
    for message, status in sorted(
        ((invite.sent, 180), (cancel, 481)), reverse=not rings_first, key=lambda p: p[1]
    ):
        wire.answer(message, status)
    assert len(wire.requests("CANCEL")) == 2
    wire.answer(wire.last("CANCEL"), 200)
    wire.answer(invite.sent, 487)
    assert wire.one(InviteEnded).status == 487
    wire.wait(400)
    assert_clean(wire)


def test_an_invite_that_never_arrived_is_over_once_no_answer_can_be_repeated(wire: Wire) -> None:
    invite = given_resumed_cancel(wire)
    wire.answer(wire.last("CANCEL"), 481)
    wire.wait(4.0)
    assert not wire.seen(InviteEnded)
    wire.wait(1.1)
    assert wire.one(InviteEnded)
    assert invite.is_unknown
    wire.wait(400)
    assert_clean(wire)


@pytest.mark.parametrize("seconds", [3.9, 20.0])
def test_an_answer_repeated_to_the_successor_is_hung_up(wire: Wire, seconds: float) -> None:
    """A far end may have forgotten the INVITE transaction (481), and still repeat its 200 (13.3.1.4)."""
    invite = given_resumed_cancel(wire)
    wire.answer(wire.last("CANCEL"), 481)
    wire.wait(seconds)
    wire.answer(invite.sent, 200)
    assert wire.last("ACK").cseq.number == 1
    wire.answer(wire.last("BYE"), 200)
    assert wire.one(InviteEnded).status == 487
    wire.wait(400)
    assert_clean(wire)


def test_a_far_end_that_is_gone_is_given_up_after_64_t1(wire: Wire) -> None:
    given_resumed_cancel(wire)
    wire.wait(31.5)
    assert not wire.seen(InviteEnded)
    wire.wait(1.0)
    assert wire.one(InviteEnded)
    wire.wait(400)
    assert_clean(wire)


def test_a_dialog_of_a_predecessor_gets_the_very_same_ack_and_a_bye(wire: Wire) -> None:
    dialog = given_dialog(wire)
    record = DialogRecord.of(dialog)
    wire.core.send_ack(dialog, b"", wire.now, branch=f"{BRANCH}-ack")
    wire.settle()
    ack = wire.last("ACK")

    successor = Wire(seed=2)
    resumed = successor.core.resume_dialog(record)
    successor.core.send_ack(resumed, b"", successor.now, branch=f"{BRANCH}-ack")
    successor.core.bye(resumed, successor.now)
    successor.settle()
    again, bye = successor.last("ACK"), successor.last("BYE")
    for name in ("Via", "From", "To", "Call-ID", "CSeq"):
        assert again.headers.get(name) == ack.headers.get(name)
    assert bye.cseq.number > ack.cseq.number + 100
    successor.answer(bye, 200)
    assert successor.one(DialogEnded)
    successor.wait(400)
    assert_clean(successor)
