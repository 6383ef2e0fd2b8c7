"""One call at a soft phone: rings, picks up, talks, ends."""

import asyncio
from collections.abc import Callable
from typing import Final

from offhook.audio.synthesis import silence_samples, sine
from offhook.audio.tones import Silence
from offhook.engines.embedded.transports import SipEndpoint
from offhook.kernel import Clock
from offhook.sip.dialogs import Dialog
from offhook.sip.errors import RemoteMalformed
from offhook.sip.message import REASONS, Request
from offhook.sip.refer import ReferTo, Replaces, status_of_sipfrag
from offhook.sip.sdp import (
    TELEPHONE_EVENT,
    AudioTarget,
    SessionDescription,
    audio_target,
    build_answer,
    build_offer,
)
from offhook.sip.transactions import ServerTransaction

from .model import Answered, CallEnded, Heard, PhoneEvent, PhoneSettings, TransferReported
from .rtp import RtpStream

SURE_S: Final = 0.2
"""Four windows of 50 ms with a frequency in them are no accident."""


class PhoneCall:
    """A received INVITE and what became of it."""

    def __init__(
        self,
        settings: PhoneSettings,
        endpoint: SipEndpoint,
        transaction: ServerTransaction,
        *,
        clock: Clock,
        session_id: str,
        report: Callable[[PhoneEvent], None],
    ) -> None:
        self.call_id = transaction.request.call_id
        self.stream = RtpStream(settings.listen_for_hz)
        self.stream.on_heard = self._on_heard
        self.dialog: Dialog | None = None
        self.is_over = False
        self.is_clean = False
        """The far end knows that the dialog is over, or cannot be told."""
        self.transaction = transaction
        self._settings = settings
        self._endpoint = endpoint
        self._clock = clock
        self._session_id = session_id
        self._version = 0
        self._report = report
        self._timer: asyncio.TimerHandle | None = None
        self._answered_at = 0.0
        self._told: set[float] = set()

    def ring(self, answer_after_s: float | None) -> None:
        """Ring, and pick up after a while (None: never)."""
        self._respond(180)
        if answer_after_s is None:
            return
        if answer_after_s <= 0:
            self.answer()
        else:
            self._timer = asyncio.get_running_loop().call_later(answer_after_s, self.answer)

    def refuse(self, status: int, reason: str = "") -> None:
        """Answer the INVITE with a failure; the call is over."""
        self._respond(status, reason)
        self._end(by_peer=False, reason=f"{status} {reason}".strip())

    def answer(self) -> None:
        """Pick up: open a port, answer the offer (or offer, if there was none), send sound."""
        self._timer = None
        if self.is_over or self.dialog is not None:
            return
        port = self.stream.open(self._settings.host)
        try:
            body, target = self._session(self.transaction.request, port)
        except RemoteMalformed as fault:
            self.refuse(488, "Not Acceptable Here" if fault.status == 488 else "Bad SDP")
            return
        self.dialog = self._endpoint.core.respond(self.transaction, 200, body=body, now=self._now())
        self._answered_at = self._now()
        self._report(Answered(self.call_id, target.codec_names[0] if target else ""))
        if target is not None:
            self._talk(target)
        if self._settings.hang_up_after_s > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.hang_up_after_s, self.hang_up)
        self._endpoint.flush()

    def hang_up(self) -> None:
        """End it in whatever state it is. Repeating it is harmless."""
        if self.is_over:
            return
        if self.dialog is None:
            self.refuse(480, "Temporarily Unavailable")
            return
        self._endpoint.core.bye(self.dialog, self._now())
        self._end(by_peer=False, reason="hung up")
        self._endpoint.flush()

    def refer(self, target: str, *, to_call: "PhoneCall | None" = None) -> None:
        """Ask to put the other party through to a URI; with to_call, to who talks to us in that call.

        TransferReported follows. Nothing is asked of a call that is not answered, or over.
        """
        if self.dialog is None or self.is_over:
            return
        there = to_call.dialog if to_call is not None else None
        replaces = Replaces(there.call_id, there.remote_tag, there.local_tag) if there is not None else None
        headers = (("Refer-To", str(ReferTo(target, replaces=replaces))), ("Referred-By", self._uri()))
        request = self._endpoint.core.request_in_dialog(self.dialog, "REFER", self._now(), headers=headers)
        request.context = self
        self._endpoint.flush()

    def _uri(self) -> str:
        return f"<sip:{self._settings.username}@{self._settings.realm}>"

    def take_refer_answer(self, status: int) -> None:
        """The other end takes our REFER, or does not."""
        self._report(TransferReported(self.call_id, status, REASONS.get(status, "")))

    def take_report(self, transaction: ServerTransaction) -> None:
        """NOTIFY: how far our transfer is."""
        self._endpoint.core.respond(transaction, 200, now=self._now())
        found = status_of_sipfrag(transaction.request.body)
        if found is not None:
            self._report(TransferReported(self.call_id, *found))

    def take_ack(self, body: bytes) -> None:
        """An ACK with an answer to our offer."""
        if not body or self.is_over:
            return
        try:
            self._talk(audio_target(SessionDescription.parse(body)))
        except RemoteMalformed:
            self.hang_up()

    def take_reinvite(self, transaction: ServerTransaction) -> None:
        """The other changes the session: hold, resume, another address."""
        try:
            body, target = self._session(transaction.request, self.stream.port)
        except RemoteMalformed:
            self._endpoint.core.respond(transaction, 488, now=self._now())
            return
        self._endpoint.core.respond(transaction, 200, body=body, now=self._now())
        if target is not None:
            self._talk(target)

    def ended_by_peer(self, request: Request | None, reason: str) -> None:
        """BYE or CANCEL, or the far end is gone."""
        self._end(by_peer=True, reason=_reason_of(request) or reason)

    def _session(self, request: Request, port: int) -> tuple[bytes, AudioTarget | None]:
        """Return our SDP, and where to send, if it is known already. Raises RemoteMalformed."""
        host, codecs, session_id = self._settings.host, self._settings.codecs, self._session_id
        self._version += 1
        if not request.body:
            offer = build_offer(host, port, codecs, session_id, version=self._version)
            return offer.to_bytes(), None
        offer = SessionDescription.parse(request.body)
        answer = build_answer(offer, host, port, codecs, session_id, version=self._version)
        target = audio_target(offer)
        return answer.to_bytes(), target

    def _talk(self, target: AudioTarget) -> None:
        wanted = [codec for codec in target.codecs if codec.name in self._settings.codecs]
        if target.is_held or not wanted or wanted[0].name == TELEPHONE_EVENT:
            self.stream.pause()
            return
        tone_hz = self._settings.tone_hz
        samples = sine(tone_hz, 1.0) if tone_hz else silence_samples(Silence(1000, 0))
        self.stream.start((target.host, target.port), wanted[0].payload_type, samples)

    def _on_heard(self, frequency_hz: float) -> None:
        if frequency_hz not in self._told and self.stream.ear.heard(frequency_hz) >= SURE_S:
            self._told.add(frequency_hz)
            self._report(Heard(self.call_id, frequency_hz))

    def _respond(self, status: int, reason: str = "") -> None:
        self._endpoint.core.respond(self.transaction, status, reason, now=self._now())
        self._endpoint.flush()

    def _end(self, *, by_peer: bool, reason: str) -> None:
        if self.is_over:
            return
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.stream.close()
        talked_s = self._now() - self._answered_at if self._answered_at else 0.0
        self._report(CallEnded(self.call_id, by_peer, reason, talked_s))

    def _now(self) -> float:
        return self._clock.monotonic()


def _reason_of(request: Request | None) -> str:
    """Return the text of a Reason header, or its cause, or "" (RFC 3326)."""
    value = (request.headers.get("Reason") if request is not None else None) or ""
    _, _, parameters = value.partition(";")
    fields = dict(field.strip().partition("=")[::2] for field in parameters.split(";"))
    text = fields.get("text", "").strip('"')
    return text or (f"cause {fields['cause']}" if fields.get("cause") else "")
