"""The dialog layer as a target: a user agent core, its user, and a peer that sends anything at any time.

An input is a list of steps. In each, the user of the core does something, time passes, or the peer sends a
message: one that would be right here, with damage done to it. In the end the user hangs up, time passes, and
nothing may be left: no dialog, no transaction, no timer.
"""

from collections.abc import Callable
from typing import Final

from offhook.sip.config import DEFAULT_ALLOW
from offhook.sip.errors import LocalDialogOver
from offhook.sip.events import InviteAnswered, RequestReceived
from offhook.sip.flows import Flow
from offhook.sip.message import Request, Response
from tests.unit.sip.peers import SDP, THEM, US, Wire, invite_to

from .source import Source

STEPS_MAX: Final = 40
DAMAGES_MAX: Final = 4
LONGEST_WAIT_S: Final = 700.0
"""Past every timer of the core: an INVITE that nobody answers is given up after 300 s."""

STATUSES: Final = (100, 180, 183, 199, 200, 202, 301, 302, 400, 401, 407, 408, 422, 481, 486, 487, 491, 500,
                   503, 603)  # fmt: skip
METHODS: Final = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY",
                  "REGISTER", "MESSAGE", "invite", "")  # fmt: skip
PAUSES_S: Final = (0.0, 0.05, 0.5, 4.0, 33.0, 181.0, 301.0)
NAMES: Final = ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Record-Route", "Route", "Max-Forwards",
                "Content-Length", "Content-Type", "WWW-Authenticate", "Proxy-Authenticate", "Require",
                "Supported", "RSeq", "RAck", "Session-Expires", "Min-SE", "Expires", "Retry-After",
                "Replaces",
                "Refer-To", "Reason", "Accept", "v", "f", "t", "i", "m", "l", "x")  # fmt: skip
VALUES: Final = ("", "*", ";", "<", '"', "sip:", "<sip:a@b>;tag=", "<tel:+1>", "4294967296 INVITE", "1 BYE",
                 "2 INVITE", "SIP/2.0/UDP 192.0.2.2:99999;branch=z9hG4bK1",
                 "SIP/2.0/TCP [::1];branch=z9hG4bK;rport",
                 "99999999999", "-1", "0", "1",
                 'Digest realm="x", nonce="y", algorithm=MD5-sess, qop="auth-int"',
                 'Digest realm="example.com", nonce="y", stale=true', "é世",
                 "<sip:192.0.2.9;lr>, <sip:[2001:db8::1]:70000>", "<sip:bob@192.0.2.3:5070;transport=tcp>",
                 "100rel, timer", "90;refresher=uas", "1 1 INVITE", "application/sdp", "text/plain",
                 )  # fmt: skip


def play(source: Source) -> None:
    """Play one input to its end. Raises AssertionError if something is left, or what the core raised."""
    wire = Wire(allow=(*DEFAULT_ALLOW, "REGISTER", "REFER"), session_expires_s=source.choice((0, 1800)))
    peer = Peer(wire, source)
    peer.invite()
    for _ in range(STEPS_MAX):
        if source.is_empty:
            break
        peer.step()
    peer.finish()
    assert wire.core.is_idle, "something is left of a call"
    assert wire.core.timer_count == 0, "a timer outlives its owner"


class Peer:
    """Both who uses the core and who talks to it, as the input decides."""

    def __init__(self, wire: Wire, source: Source) -> None:
        self._wire = wire
        self._source = source
        self._answered = 0
        self._calls: list[object] = []
        self._steps: tuple[Callable[[], None], ...] = (
            self._respond, self._request, self._respond, self._request, self._wait, self._answer, self.invite,
            self._cancel, self._bye, self._reinvite, self._acknowledge, self._inform, self._lose_flow,
            self._send_anything, self._update,
        )  # fmt: skip

    def step(self) -> None:
        """Do what the input says next."""
        self._source.choice(self._steps)()

    # --- the user of the core ---

    def invite(self) -> None:
        """Place a call, over UDP or a connection."""
        transport = self._source.choice(("udp", "tcp"))
        call_id = f"fuzz{len(self._calls)}"
        wanted = invite_to(username="trunk", password="pa55", call_id=call_id, transport=transport)
        self._calls.append(self._wire.core.invite(wanted, self._wire.now))
        self._wire.settle()

    def _cancel(self) -> None:
        self._wire.core.cancel(self._source.choice(self._calls), self._wire.now)  # type: ignore[arg-type]
        self._wire.settle()

    def _bye(self) -> None:
        for dialog in self._dialogs():
            self._wire.core.bye(dialog, self._wire.now)
        self._wire.settle()

    def _reinvite(self) -> None:
        for dialog in self._dialogs():
            try:
                self._wire.core.reinvite(dialog, SDP, self._wire.now)
            except LocalDialogOver:
                continue
        self._wire.settle()

    def _acknowledge(self) -> None:
        for dialog in self._dialogs():
            self._wire.core.send_ack(dialog, b"", self._wire.now)
        self._wire.settle()

    def _inform(self) -> None:
        for dialog in self._dialogs():
            try:
                self._wire.core.request_in_dialog(
                    dialog, "INFO", self._wire.now, body=b"x", content_type="a/b"
                )
            except LocalDialogOver:
                continue
        self._wire.settle()

    def _update(self) -> None:
        for dialog in self._dialogs():
            try:
                self._wire.core.update(dialog, SDP, self._wire.now)
            except LocalDialogOver:
                continue
        self._wire.settle()

    def _answer(self) -> None:
        status = self._source.choice(STATUSES)
        for event in self._wire.seen(RequestReceived)[self._answered :]:
            body = SDP if event.request.method == "INVITE" and status == 200 else b""
            self._wire.core.respond(event.transaction, status, body=body, now=self._wire.now)
            self._answered += status >= 200
        self._wire.settle()

    def _dialogs(self) -> list:  # type: ignore[type-arg]
        return [event.dialog for event in self._wire.seen(InviteAnswered)]

    # --- the network and the clock ---

    def _wait(self) -> None:
        self._wire.wait(self._source.choice(PAUSES_S))

    def _lose_flow(self) -> None:
        self._wire.core.flow_failed(Flow("tcp", US, THEM), self._wire.now)
        self._wire.settle()

    # --- the other side ---

    def _respond(self) -> None:
        """Answer one of the requests that were sent, damaged or not."""
        requests = [message for message in self._wire.sent if isinstance(message, Request)]
        request = self._source.choice(requests[-16:])
        status = self._source.choice(STATUSES)
        to = request.headers.get("To") or ""
        tag = self._source.choice(("them", "other", ""))
        lines = [f"SIP/2.0 {status} Whatever"]
        lines += [f"Via: {line}" for line in request.headers.lines("Via")]
        lines += [f"From: {request.headers.get('From')}", f"Call-ID: {request.call_id}"]
        lines += [f"To: {to}" if ";tag=" in to or not tag else f"To: {to};tag={tag}"]
        lines += [f"CSeq: {request.headers.get('CSeq')}", "Contact: <sip:bob@192.0.2.2:5060>"]
        self._send(lines, SDP if self._source.byte() % 2 else b"")

    def _request(self) -> None:
        """Send a request: in the dialog of a call that was placed, or outside any."""
        method, cseq = self._source.choice(METHODS), self._source.byte()
        invite = self._source.choice(self._wire.requests("INVITE")[-16:])
        inside = self._source.byte() % 4
        lines = [f"{method} sip:alice@192.0.2.1 SIP/2.0"]
        lines += [f"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKf{cseq}", "Max-Forwards: 70"]
        lines += [f"From: <sip:bob@example.com>;tag={self._source.choice(('them', 'other'))}"]
        lines += ["To: <sip:alice@example.com>" + (f";tag={self._our_tag(invite, inside)}" if inside else "")]
        lines += [f"Call-ID: {invite.call_id if inside else 'theirs'}", f"CSeq: {cseq} {method}"]
        lines += ["Contact: <sip:bob@192.0.2.2>"]
        self._send(lines, SDP if self._source.byte() % 2 else b"")

    def _our_tag(self, invite: Request, inside: int) -> str:
        """Return our tag: of a call we placed, or of one that was taken."""
        answers = [message for message in self._wire.sent if isinstance(message, Response)]
        if inside < 3 or not answers:
            return invite.from_tag
        return (answers[-1].headers.get("To") or "").rpartition("tag=")[2]

    def _send(self, lines: list[str], body: bytes) -> None:
        for _ in range(self._source.byte() % (DAMAGES_MAX + 1)):
            self._damage(lines)
        lines += ["Content-Type: application/sdp"] if body else []
        data = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode(
            "utf-8", "surrogateescape"
        )
        data += body
        if self._source.byte() % 8 == 7:  # damage that is not line by line
            at = self._source.byte() * len(data) // 256
            data = (
                data[:at] + self._source.take(self._source.byte() % 12) + data[at + self._source.byte() % 6 :]
            )
        self._wire.receive(data, Flow(self._source.choice(("udp", "udp", "udp", "tcp")), US, THEM))

    def _damage(self, lines: list[str]) -> None:
        kind, at = self._source.byte() % 5, self._source.byte() % len(lines)
        if kind == 0:
            lines.append(f"{self._source.choice(NAMES)}: {self._source.choice(VALUES)}")
        elif kind == 1:
            lines[at] = f"{lines[at].partition(':')[0]}: {self._source.choice(VALUES)}"
        elif kind == 2 and len(lines) > 1:
            del lines[at]
        elif kind == 3:
            lines.insert(at, lines[-1])
        else:
            text = self._source.take(self._source.byte() % 16).decode("utf-8", "surrogateescape")
            lines[at] = f"{lines[at].partition(':')[0]}:{text}"

    def _send_anything(self) -> None:
        self._wire.receive(self._source.take(self._source.byte() * 4))

    # --- the end ---

    def finish(self) -> None:
        """Hang up whatever is left, as an engine does that stops, and let every timer run out."""
        for call in self._calls:
            self._wire.core.cancel(call, self._wire.now)  # type: ignore[arg-type]
        self._bye()
        self._wire.wait(LONGEST_WAIT_S)
        for dialog in list(self._wire.core._state.dialogs.values()):  # those that the peer has made
            self._wire.core.bye(dialog, self._wire.now)
        self._wire.wait(LONGEST_WAIT_S)
