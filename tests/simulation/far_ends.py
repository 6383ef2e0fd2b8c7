"""The far ends of a world: one phone (or carrier) per leg, on a real user agent core, following a script.

A far end has its own address, so that it knows by itself which leg it is, whoever made the plan. It remembers
what it saw and did: the judge compares that with the outcome.
"""

import re
from collections.abc import Callable
from typing import Final

from offhook.kernel import Random
from offhook.sip.config import UserAgentConfig
from offhook.sip.dialogs import Dialog
from offhook.sip.events import (
    AckReceived,
    Cancelled,
    DialogEnded,
    ReinviteAnswered,
    RequestReceived,
    SipEvent,
)
from offhook.sip.flows import Flow
from offhook.sip.message import Request, Response, parse_message, response_to, serialize
from offhook.sip.transactions import ServerTransaction
from offhook.sip.user_agent import UserAgentCore

from .network import NODE, Network
from .scripts import TALKS_NONSENSE, UNREADABLE_TO, Script, babble
from .virtual_time import Address, Agenda

MEDIA_PORT: Final = 4000

FORK_TAG: Final = "f0rk"
FORK_MARK: Final = b">;tag=" + FORK_TAG.encode()
FORK_GIVES_UP_S: Final = 8.0

_ORIGIN = re.compile(rb"c=IN IP4 ([0-9.]+)")
_AUDIO = re.compile(rb"m=audio (\d+)")
_CALL_ID = re.compile(rb"\r\nCall-ID: ([^\r]+)")


class FarEnd:
    """One far end. What it saw is in the attributes; times are virtual seconds, None = never."""

    __slots__ = (
        "_heard_by",
        "_timer_due",
        "acked_at",
        "address",
        "agenda",
        "answer_heard_at",
        "answered_at",
        "bye_sent",
        "byes_received",
        "cancelled",
        "codes",
        "core",
        "dialog",
        "ends",
        "fork_acked",
        "fork_over",
        "heard_at",
        "hears",
        "invited_at",
        "leg_id",
        "lost_connections",
        "network",
        "offered",
        "on_invited",
        "ringing",
        "script",
        "transaction",
        "was_heard",
    )

    def __init__(self, address: Address, script: Script, *, network: Network, random: Random) -> None:
        self.address = address
        self.script = script
        self.network = network
        self.agenda: Agenda = network.agenda
        self.core = UserAgentCore(UserAgentConfig(advertised={"udp": address, "tcp": address}), random)
        self._timer_due = float("inf")
        self.on_invited: Callable[[FarEnd], None] = lambda far_end: None
        """Called at the first INVITE."""
        self.leg_id = ""
        self.invited_at: float | None = None
        self.answered_at: float | None = None
        """Sent its 200."""
        self.acked_at: float | None = None
        self.codes: list[int] = []
        """Final answers it sent to INVITEs outside a dialog."""
        self.cancelled = False
        self.bye_sent = False
        self.byes_received = 0
        self.ends = 0
        """How often its dialog ended."""
        self.fork_acked = self.fork_over = False
        """The second phone's answer was acknowledged; it was hung up."""
        self.dialog: Dialog | None = None
        self.transaction: ServerTransaction | None = None
        self.ringing = False
        """An INVITE waits for its answer."""
        self.hears: tuple[str, int] | None = None
        """Where its audio goes, by the last SDP it got."""
        self.offered: bytes = b""
        self.was_heard = False
        """The node has got a proper answer to the INVITE that rings."""
        self.heard_at = 0.0
        """When the first of them came."""
        self.answer_heard_at: float | None = None
        """When its 200 came."""
        self.lost_connections = 0
        """TCP connections to it that broke, or could not be opened."""
        self._heard_by = b"CSeq: 1 INVITE"
        network.machines[address] = self

    # --- what the judge asks --------------------------------------------------------------------------

    @property
    def talks(self) -> bool:
        """Tell whether it believes to be in a call that nobody is ending."""
        return self.dialog is not None and not self.dialog.is_over

    @property
    def hung_up(self) -> bool:
        """Tell whether it ended its dialog, or its core did after a re-INVITE that was never answered."""
        left = self.dialog is not None and self.dialog.is_over and not self.byes_received
        return self.bye_sent or left

    @property
    def is_held(self) -> bool:
        """Tell whether a leg stands here: it rings, or talks."""
        return self.ringing or self.talks

    def is_reachable(self) -> bool:
        if not self.script.away:
            return True
        if self.invited_at is None:
            return not self.script.is_silent
        since = self.agenda.now - self.invited_at
        return not any(start < since < until for start, until in self.script.away)

    def note_arrival(self, data: bytes) -> None:
        """Something of it has reached the node; parts of a stream count as proper."""
        is_other = TALKS_NONSENSE in data or FORK_MARK in data or UNREADABLE_TO in data
        if self.script.tcp or (self._heard_by in data and not is_other):
            self.was_heard = True
            self.heard_at = self.heard_at or self.agenda.now
            if self.answer_heard_at is None and data.startswith(b"SIP/2.0 200") and self._heard_by in data:
                self.answer_heard_at = self.agenda.now

    # --- messages -------------------------------------------------------------------------------------

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take a message that arrived."""
        if self.invited_at is None and data.startswith(b"INVITE "):
            self.invited_at = self.agenda.now
            found = _CALL_ID.search(data)
            self.leg_id = found[1].decode() if found else ""
            self.on_invited(self)
        if FORK_MARK in data:
            self._receive_as_fork(data, flow)
            return
        if self.script.babbles and data.startswith(b"INVITE ") and self.answered_at is None:
            self._send_raw(babble(self.script.babbles, data), flow)
        if self.script.ignores_cancel and data.startswith(b"CANCEL "):
            request = parse_message(data)
            assert isinstance(request, Request)
            self._send_raw(serialize(response_to(request, 200, to_tag="cancel")), flow)
            return
        self.core.receive_message(data, flow, self.agenda.now)
        self.settle()

    def connection_lost(self, flow: Flow) -> None:
        """A TCP connection is gone."""
        self.core.flow_failed(flow, self.agenda.now)
        if flow.id:
            self.core.flow_failed(Flow("tcp", self.address, NODE), self.agenda.now)
        self.settle()

    def settle(self) -> None:
        """Take the core's events, send what it wants to send, re-arm its timer."""
        core, now = self.core, self.agenda.now
        while True:
            while (event := core.next_event()) is not None:
                self._take(event, now)
            messages = core.messages_to_send()
            if not messages:
                break
            for data, flow in messages:
                self._send_raw(data, flow)
        due = core.next_timer()
        if due is not None and due < self._timer_due:
            self._timer_due = due
            self.agenda.at(due, self._on_timer, due)

    def _send_raw(self, data: bytes, flow: Flow) -> None:
        if not self.is_reachable():
            return
        if flow.transport == "tcp":
            self.network.send_stream(data, flow, self)
        else:
            self.network.send_datagram(data, self.address, flow.remote)

    def _on_timer(self, due: float) -> None:
        if due != self._timer_due:
            return  # an earlier one was armed since
        self._timer_due = float("inf")
        self.core.handle_timer(self.agenda.now)
        self.settle()

    # --- events ---------------------------------------------------------------------------------------

    def _take(self, event: SipEvent, now: float) -> None:
        if isinstance(event, RequestReceived):
            self._on_request(event, now)
        elif isinstance(event, AckReceived):
            self.acked_at = self.acked_at or now
            self._hear(event.body)
        elif isinstance(event, Cancelled):
            if event.transaction is self.transaction:
                self.ringing = False
                self.cancelled = event.request is not None
        elif isinstance(event, DialogEnded):
            self.ends += 1
            self.byes_received += event.by_peer
        elif isinstance(event, ReinviteAnswered):
            self.core.send_ack(event.dialog, b"", now)

    def _on_request(self, event: RequestReceived, now: float) -> None:
        request = event.request
        if request.method != "INVITE":
            self.core.respond(event.transaction, 200, now=now)
        elif event.dialog is not None:
            self._on_reinvite(event, now)
        elif self.script.challenges and not request.headers.get("Proxy-Authorization"):
            challenge = ("Proxy-Authenticate", 'Digest realm="carrier", nonce="n1", algorithm=MD5')
            self.core.respond(event.transaction, 407, headers=(challenge,), now=now)
        else:
            self._ring(event.transaction, request, now)

    def _ring(self, transaction: ServerTransaction, request: Request, now: float) -> None:
        script = self.script
        self.transaction, self.ringing = transaction, True
        self.was_heard, self.heard_at = False, 0.0
        self._heard_by = b"CSeq: %d INVITE" % request.cseq.number
        self.offered = request.body
        self._hear(request.body)
        if script.rings_after is not None:
            self.agenda.at(now + script.rings_after, self._send_ringing, transaction)
        if script.status:
            self.agenda.at(now + script.answers_after, self._answer, transaction)

    def _send_ringing(self, transaction: ServerTransaction) -> None:
        now = self.agenda.now
        if self.script.early_media:
            self.core.respond(transaction, 183, body=self._sdp(), now=now)
        else:
            self.core.respond(transaction, 180, now=now)
        self.settle()

    def _answer(self, transaction: ServerTransaction) -> None:
        if transaction.is_answered:
            return  # cancelled meanwhile
        script, now = self.script, self.agenda.now
        self.ringing = False
        self.codes.append(script.status)
        accepts = script.status == 200
        headers: tuple[tuple[str, str], ...] = ()
        if 300 <= script.status < 400:
            headers = (("Contact", "<sip:elsewhere@10.9.9.9>"),)
        body = self._sdp() if accepts else b""
        dialog = self.core.respond(transaction, script.status, headers=headers, body=body, now=now)
        if accepts:
            self.dialog, self.answered_at = dialog, now
            if script.hangs_up_after is not None:
                self.agenda.after(script.hangs_up_after, self.hang_up)
            if script.forks:
                self.agenda.after(0.01, self._answer_as_fork, transaction, 0.5)
            if script.reinvites_after is not None:
                self.agenda.after(script.reinvites_after, self._reinvite)
        self.settle()

    def _answer_as_fork(self, transaction: ServerTransaction, pause: float) -> None:
        """Answer as the second phone, and repeat that for a while until somebody hears it."""
        if self.fork_acked or self.fork_over or pause > FORK_GIVES_UP_S:
            return
        answer = response_to(transaction.request, 200, to_tag=FORK_TAG)
        self._describe_fork(answer)
        self._send_raw(serialize(answer), transaction.flow)
        self.agenda.after(pause, self._answer_as_fork, transaction, 2 * pause)

    def _describe_fork(self, answer: Response) -> None:
        answer.headers.add("Contact", f"<sip:second@{self.address[0]}:{self.address[1]}>")
        answer.headers.add("Content-Type", "application/sdp")
        answer.body = self._sdp()

    def _receive_as_fork(self, data: bytes, flow: Flow) -> None:
        self.fork_acked = True  # an ACK, or a BYE that overtook it
        if data.startswith(b"ACK "):
            return
        request = parse_message(data)
        assert isinstance(request, Request)
        answer = response_to(request, 200)
        if request.method == "BYE":
            self.fork_over = True
        elif self.script.refuses_reinvites:
            answer = response_to(request, 488)
        else:
            self._hear(request.body)
            self._describe_fork(answer)
        self._send_raw(serialize(answer), flow)

    def _on_reinvite(self, event: RequestReceived, now: float) -> None:
        if self.script.refuses_reinvites:
            self.core.respond(event.transaction, 488, now=now)
            return
        self._hear(event.request.body)
        self.core.respond(event.transaction, 200, body=self._sdp(), now=now)

    def hang_up(self) -> None:
        """Put the receiver down."""
        if self.dialog is not None and not self.dialog.is_over:
            self.bye_sent = True
            self.core.bye(self.dialog, self.agenda.now)
            self.settle()

    def _reinvite(self) -> None:
        if self.dialog is not None and not self.dialog.is_over:
            self.core.reinvite(self.dialog, self._sdp(), self.agenda.now)
            self.settle()

    # --- media ----------------------------------------------------------------------------------------

    def _hear(self, body: bytes) -> None:
        origin, audio = _ORIGIN.search(body), _AUDIO.search(body)
        if origin and audio:
            self.hears = (origin[1].decode(), int(audio[1]))

    def _sdp(self) -> bytes:
        kind, host = self.script.body, self.address[0]
        if kind == "none":
            return b""
        if kind == "broken":
            return b"v=0\r\nthis is no session\r\n"
        types = "8" if kind == "alaw" else "0 8"
        media = "video 4002 RTP/AVP 99" if kind == "video" else f"audio {MEDIA_PORT} RTP/AVP {types}"
        return (f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm={media}\r\n").encode()
