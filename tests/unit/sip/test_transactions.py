"""The four machines: every (state, input) pair walked, the tables held against the figures of the RFCs."""

from itertools import pairwise
from typing import Any

import pytest

from offhook.kernel import TimerWheel
from offhook.sip.config import UserAgentConfig
from offhook.sip.events import EndCause
from offhook.sip.flows import Flow
from offhook.sip.message import Headers, Request, Response, parse_message, response_to
from offhook.sip.transaction_base import UnlistedInput
from offhook.sip.transaction_layer import TransactionLayer
from offhook.sip.transaction_tables import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Input,
    State,
    Table,
)
from offhook.sip.transactions import ClientTransaction, ServerTransaction

from .peers import THEM, US, SeededRandom

UDP = Flow("udp", US, THEM)
TCP = Flow("tcp", US, THEM)

CLIENT_RESPONSES = {Input.PROVISIONAL: 180, Input.SUCCESS: 200, Input.FAILURE: 486}
TIMERS = {event for event in Input if event.value.startswith("timer")}

# RFC 3261 figure 5 with RFC 6026 figure 4: state → {input: next state}.
FIGURE_INVITE_CLIENT = {
    State.CALLING: {
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.ACCEPTED,
        Input.FAILURE: State.COMPLETED,
        Input.TIMER_A: State.CALLING,
        Input.TIMER_B: State.TERMINATED,
        Input.TRANSPORT_ERROR: State.TERMINATED,
    },
    State.PROCEEDING: {
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.ACCEPTED,
        Input.FAILURE: State.COMPLETED,
    },
    State.COMPLETED: {
        Input.FAILURE: State.COMPLETED,
        Input.TRANSPORT_ERROR: State.TERMINATED,
        Input.TIMER_D: State.TERMINATED,
    },
    State.ACCEPTED: {Input.SUCCESS: State.ACCEPTED, Input.TIMER_M: State.TERMINATED},
}
# RFC 3261 figure 6.
FIGURE_NON_INVITE_CLIENT = {
    State.TRYING: {
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.COMPLETED,
        Input.FAILURE: State.COMPLETED,
        Input.TIMER_E: State.TRYING,
        Input.TIMER_F: State.TERMINATED,
        Input.TRANSPORT_ERROR: State.TERMINATED,
    },
    State.PROCEEDING: {
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.COMPLETED,
        Input.FAILURE: State.COMPLETED,
        Input.TIMER_E: State.PROCEEDING,
        Input.TIMER_F: State.TERMINATED,
        Input.TRANSPORT_ERROR: State.TERMINATED,
    },
    State.COMPLETED: {Input.TIMER_K: State.TERMINATED},
}
# RFC 3261 figure 7 with RFC 6026 figure 5.
FIGURE_INVITE_SERVER = {
    State.PROCEEDING: {
        Input.REQUEST: State.PROCEEDING,
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.ACCEPTED,
        Input.FAILURE: State.COMPLETED,
    },
    State.COMPLETED: {
        Input.REQUEST: State.COMPLETED,
        Input.ACK: State.CONFIRMED,
        Input.TIMER_G: State.COMPLETED,
        Input.TIMER_H: State.TERMINATED,
    },
    State.ACCEPTED: {
        Input.REQUEST: State.ACCEPTED,
        Input.ACK: State.ACCEPTED,
        Input.SUCCESS: State.ACCEPTED,
        Input.TIMER_L: State.TERMINATED,
    },
    State.CONFIRMED: {Input.ACK: State.CONFIRMED, Input.TIMER_I: State.TERMINATED},
}
# RFC 3261 figure 8.
FIGURE_NON_INVITE_SERVER = {
    State.TRYING: {
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.COMPLETED,
        Input.FAILURE: State.COMPLETED,
    },
    State.PROCEEDING: {
        Input.REQUEST: State.PROCEEDING,
        Input.PROVISIONAL: State.PROCEEDING,
        Input.SUCCESS: State.COMPLETED,
        Input.FAILURE: State.COMPLETED,
    },
    State.COMPLETED: {Input.REQUEST: State.COMPLETED, Input.TIMER_J: State.TERMINATED},
}
FIGURES = {
    "INVITE client": (INVITE_CLIENT, FIGURE_INVITE_CLIENT),
    "non-INVITE client": (NON_INVITE_CLIENT, FIGURE_NON_INVITE_CLIENT),
    "INVITE server": (INVITE_SERVER, FIGURE_INVITE_SERVER),
    "non-INVITE server": (NON_INVITE_SERVER, FIGURE_NON_INVITE_SERVER),
}


class Recorder:
    """A user of transactions that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    def on_response(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.told.append(("response", response.status))

    def on_failure(self, transaction: ClientTransaction, cause: EndCause, now: float) -> None:
        self.told.append(("failure", cause))

    def on_no_final(self, transaction: ClientTransaction, now: float) -> None:
        self.told.append(("no final", None))

    def on_forgotten(self, transaction: ClientTransaction) -> None:
        self.told.append(("forgotten", None))

    def on_ack(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        self.told.append(("ack", None))

    def on_unanswered(self, transaction: ServerTransaction, now: float) -> None:
        self.told.append(("unanswered", None))


class Given:
    """A layer on a clock."""

    def __init__(self) -> None:
        self.wheel = TimerWheel()
        self.layer = TransactionLayer(
            UserAgentConfig(advertised={"udp": US, "tcp": US}), SeededRandom(1), self.wheel
        )
        self.user = Recorder()
        self.now = 0.0

    def client(self, method: str, flow: Flow = UDP) -> ClientTransaction:
        return self.layer.send(request_of(method), flow, self.user, self.now)

    def server(self, method: str, flow: Flow = UDP) -> ServerTransaction:
        request = request_of(method)
        request.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKabc;rport")
        return self.layer.accept(request, self.user, flow)

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.wheel.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self.wheel.advance(self.now)
        self.now = end

    def sent(self) -> list[str]:
        """First words of what was queued since the last call."""
        outbox, self.layer.outbox = self.layer.outbox, []
        return [data.split(b"\r\n")[0].decode().split(" SIP/2.0")[0] for data, _ in outbox]


@pytest.fixture
def given() -> Given:
    return Given()


def request_of(method: str) -> Request:
    fields = [
        ("Max-Forwards", "70"),
        ("From", "<sip:a@example.com>;tag=1"),
        ("To", "<sip:b@example.com>"),
        ("Call-ID", "c1"),
        ("CSeq", f"1 {method}"),
    ]
    return Request(method, "sip:b@192.0.2.2", Headers(fields))


def answer_to(transaction: ClientTransaction, status: int) -> Response:
    return response_to(transaction.request, status, to_tag="t1")


@pytest.mark.parametrize("name", FIGURES)
def test_the_table_is_the_figure(name: str) -> None:
    table, figure = FIGURES[name]
    for state, arrows in figure.items():
        for event, target in arrows.items():
            assert table[state, event][0] == target, f"{name}: {state} on {event}"
    for (state, event), (target, action) in table.items():
        if event not in figure[state] and event not in (Input.ABANDON, Input.UNANSWERED):
            # What the figure leaves out changes nothing.
            assert target == state, f"{name}: {state} on {event}"
            assert action in ("ignore", "pass_up", "report_no_final", "leave_connection"), f"{name}: {state}"


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Input)
def test_every_state_and_input(given: Given, name: str, state: State, event: Input) -> None:
    table = FIGURES[name][0]
    method = "INVITE" if name.startswith("INVITE") else "OPTIONS"
    transaction: Any = given.client(method) if name.endswith("client") else given.server(method)
    if name.endswith("client"):
        message: Any = answer_to(transaction, CLIENT_RESPONSES.get(event, 200))
        transaction.ack = b"ACK sip:b SIP/2.0\r\n\r\n"
    else:
        message = b"SIP/2.0 200 OK\r\n\r\n" if event in CLIENT_RESPONSES else transaction.request
    transaction.state = state
    if (state, event) not in table:
        with pytest.raises(UnlistedInput):
            transaction.apply(event, message, given.now)
        assert transaction.state is state
        assert given.user.told == []
        return
    transaction.apply(event, message, given.now)
    assert transaction.state is table[state, event][0]
    if transaction.state is State.TERMINATED:
        assert len(given.layer) == 0
        assert len(given.wheel) == 0


def test_an_invite_is_sent_again_at_doubling_pauses_and_times_out(given: Given) -> None:
    given.client("INVITE")
    times = []
    for _ in range(700):
        times += [given.now] * len(given.sent())
        given.wait(0.05)
    pauses = [round(later - earlier, 1) for earlier, later in pairwise(times)]
    assert pauses == pytest.approx([0.5, 1.0, 2.0, 4.0, 8.0, 16.0], abs=0.15)
    assert given.user.told == [("failure", EndCause.TIMEOUT)]
    assert (len(given.layer), len(given.wheel)) == (0, 0)


def test_timer_b_stops_at_the_first_provisional(given: Given) -> None:
    transaction = given.client("INVITE")
    given.layer.receive_response(answer_to(transaction, 100), transaction.branch, given.now)
    given.sent()
    given.wait(170)
    assert given.sent() == []
    assert given.user.told == [("response", 100)]


def test_timer_c_starts_anew_with_each_provisional(given: Given) -> None:
    transaction = given.client("INVITE")
    for _ in range(3):
        given.layer.receive_response(answer_to(transaction, 180), transaction.branch, given.now)
        given.wait(100)
    assert ("no final", None) not in given.user.told
    given.wait(81)
    assert given.user.told[-1] == ("no final", None)


def test_a_failure_is_acknowledged_each_time_and_reported_once(given: Given) -> None:
    transaction = given.client("INVITE")
    given.sent()
    for _ in range(3):
        given.layer.receive_response(answer_to(transaction, 486), transaction.branch, given.now)
    ack = parse_message(given.layer.outbox[0][0])
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri) == ("ACK", "sip:b@192.0.2.2")
    assert ack.via.branch == transaction.branch
    assert (ack.to_tag, str(ack.cseq), ack.max_forwards) == ("t1", "1 ACK", 70)
    assert len(given.sent()) == 3
    assert given.user.told == [("response", 486)]
    given.wait(32.2)
    assert given.user.told[-1] == ("forgotten", None)
    assert (len(given.layer), len(given.wheel)) == (0, 0)


def test_a_request_is_sent_again_up_to_every_four_seconds(given: Given) -> None:
    given.client("OPTIONS")
    given.wait(33)
    assert len(given.sent()) == 11  # at 0, .5, 1.5, 3.5, 7.5, 11.5 … 31.5
    assert given.user.told == [("failure", EndCause.TIMEOUT)]


def test_over_tcp_nothing_is_sent_again_and_nothing_lingers(given: Given) -> None:
    transaction = given.client("OPTIONS", TCP)
    given.wait(10)
    assert given.sent() == ["OPTIONS sip:b@192.0.2.2"]
    given.layer.receive_response(answer_to(transaction, 200), transaction.branch, given.now)
    assert given.user.told == [("response", 200), ("forgotten", None)]
    assert (len(given.layer), len(given.wheel)) == (0, 0)


def test_a_lost_connection_fails_what_waits_on_it(given: Given) -> None:
    given.client("OPTIONS", TCP)
    given.client("INVITE", Flow("tcp", US, THEM, "tcp-1"))
    given.layer.flow_failed(TCP, given.now)
    assert given.user.told == [("failure", EndCause.TRANSPORT)]
    given.layer.flow_failed(Flow("tcp", US, THEM, "tcp-1"), given.now)
    assert len(given.user.told) == 2
    given.layer.flow_failed(TCP, given.now)
    assert (len(given.layer), len(given.wheel)) == (0, 0)


def test_a_long_request_goes_over_tcp_and_comes_back_to_udp_if_that_fails(given: Given) -> None:
    request = request_of("INVITE")
    request.body = b"x" * 1300
    transaction = given.layer.send(request, UDP, given.user, given.now)
    data, flow = given.layer.outbox.pop()
    assert flow == TCP
    assert b"SIP/2.0/TCP 192.0.2.1:5060" in data
    given.layer.flow_failed(TCP, given.now)
    data, flow = given.layer.outbox.pop()
    assert flow == UDP
    assert data.count(b"Via: ") == 1
    assert b"SIP/2.0/UDP 192.0.2.1:5060" in data
    given.wait(0.6)
    assert len(given.sent()) == 1
    given.layer.receive_response(answer_to(transaction, 486), transaction.branch, given.now)
    assert given.user.told == [("response", 486)]


def test_without_a_tcp_port_of_our_own_a_long_request_stays_on_udp() -> None:
    layer = TransactionLayer(UserAgentConfig(advertised={"udp": US}), SeededRandom(1), TimerWheel())
    request = request_of("INVITE")
    request.body = b"x" * 1300
    layer.send(request, UDP, Recorder(), 0.0)
    assert layer.outbox[0][1] == UDP


def test_a_failure_we_sent_is_repeated_until_its_ack(given: Given) -> None:
    transaction = given.server("INVITE")
    transaction.send_response(486, b"SIP/2.0 486 Busy\r\n\r\n", given.now)
    given.wait(4)
    assert len(given.sent()) == 4  # at 0, 0.5, 1.5, 3.5
    transaction.apply(Input.ACK, None, given.now)
    given.wait(4)
    assert given.sent() == []
    given.wait(1.2)
    assert (len(given.layer), len(given.wheel)) == (0, 0)


def test_a_repeated_request_gets_the_last_answer(given: Given) -> None:
    transaction = given.server("INFO")
    transaction.apply(Input.REQUEST, None, given.now)
    assert given.sent() == []
    transaction.send_response(200, b"SIP/2.0 200 OK\r\n\r\n", given.now)
    transaction.apply(Input.REQUEST, None, given.now)
    assert len(given.sent()) == 2


def test_two_requests_with_one_branch_but_another_sender_are_two(given: Given) -> None:
    first, second = request_of("OPTIONS"), request_of("OPTIONS")
    first.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKabc")
    second.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.3:5060;branch=z9hG4bKabc")
    given.layer.accept(first, given.user, UDP)
    assert given.layer.find_server(first, "OPTIONS") is not None
    assert given.layer.find_server(second, "OPTIONS") is None


def test_peers_of_rfc_2543_are_matched_by_what_they_have(given: Given) -> None:
    first, repeated, other = request_of("INVITE"), request_of("INVITE"), request_of("INVITE")
    for request in (first, repeated, other):
        request.headers.prepend("Via", "SIP/2.0/UDP 192.0.2.2:5060")
    other.headers.set("Call-ID", "c2")
    given.layer.accept(first, given.user, UDP)
    assert given.layer.find_server(repeated, "INVITE") is not None
    assert given.layer.find_server(other, "INVITE") is None


@pytest.mark.parametrize(
    ("via", "remote"),
    [
        ("192.0.2.2:5060;rport", ("192.0.2.2", 40000)),  # RFC 3581
        ("192.0.2.2:5080", ("192.0.2.2", 5080)),
        ("192.0.2.2", ("192.0.2.2", 5060)),
        ("pc33.example.com:5070", ("192.0.2.2", 5070)),  # received
        ("192.0.2.2:5060;maddr=224.0.0.1", ("192.0.2.2", 5060)),  # maddr is not followed
    ],
)
def test_answers_go_where_the_via_says(given: Given, via: str, remote: tuple[str, int]) -> None:
    request = request_of("OPTIONS")
    request.headers.prepend("Via", f"SIP/2.0/UDP {via};branch=z9hG4bKabc")
    transaction = given.layer.accept(request, given.user, Flow("udp", US, ("192.0.2.2", 40000)))
    transaction.send_response(200, b"SIP/2.0 200 OK\r\n\r\n", given.now)
    assert given.layer.outbox[0][1].remote == remote


def test_a_table_lists_no_state_it_cannot_reach() -> None:
    for name, (table, _) in FIGURES.items():
        reached = {state for state, _ in table.values()} | {next(iter(table))[0]}
        assert {state for state, _ in table} == reached - {State.TERMINATED}, name
        assert_timers_belong(table)


def assert_timers_belong(table: Table) -> None:
    """Every timer ends or repeats; none is left without an effect."""
    for (_, event), (_, action) in table.items():
        if event in TIMERS:
            assert action != "ignore"
