"""The media of one call: offers, answers, and the relay session that both legs share.

Without transcoding both legs must speak the same codecs: what the first party agreed to bounds what the
second is offered (RFC 3264). In a bypass the second party's offer is carried to the first in a re-INVITE
(RFC 3725 flow IV), and the relay is let go.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final, Protocol

import msgspec
import structlog

from offhook.calls.events import RecordingMade
from offhook.calls.model import MediaMode
from offhook.kernel import Clock, OffhookError
from offhook.sip.errors import RemoteMalformed
from offhook.sip.sdp import (
    TELEPHONE_EVENT_TYPE,
    AudioTarget,
    LocalNoCodec,
    SessionDescription,
    audio_target,
    build_answer,
    build_offer,
    check_answer,
)
from offhook.sip.sdp_dtls import DtlsPort

from .media_library import BUILT_IN_MUSIC
from .recorder import Recorder
from .relay import MediaError, MediaRelay, PreparedMedia, RelayLost, RelayPort, RelaySide

_log = structlog.get_logger("offhook.media")

DEFAULT_CODECS: Final = ("PCMU", "PCMA")
"""What every phone, browser and carrier does (RFC 7874), and what the relay can play."""

DEFAULT_RINGBACK: Final = "us"

NOWHERE: Final = "0.0.0.0"  # noqa: S104 - an address in SDP that takes no packets
DISCARD_PORT: Final = 9


class MediaIncompatible(OffhookError):
    """What a party says of its media cannot be used: no SDP, none that parses, or no common codec."""

    code: ClassVar[str] = "media-incompatible"


class MediaLibrary(Protocol):
    """Prepares what can be played."""

    async def prepare(self, media: str) -> PreparedMedia:
        """Return the raw files of a media id, country code or tone. Raises MediaError if there are none."""
        ...


class CallMedia:
    """The session of one call. Methods that raise MediaIncompatible have changed nothing."""

    def __init__(
        self,
        relay: MediaRelay | None,
        library: MediaLibrary,
        session_id: str,
        mode: MediaMode,
        *,
        clock: Clock,
    ) -> None:
        self.call_id = ""
        """The call it was opened for."""
        self.recorder: Recorder | None = None
        """Makes its recordings; None: nobody asks for any."""
        self._recordings: dict[str, tuple[float, float]] = {}
        """By id: begin and end in Unix seconds, 0: until the media are closed."""
        self._closed_at = 0.0
        self.legs: set[str] = set()
        """Leg ids that still use it; the engine closes it with the last one."""
        self.session_id = session_id
        self.is_direct = False
        """The parties send to each other; the relay is out of the way."""
        self._relay = relay
        self._library = library
        self._mode = mode
        self._clock = clock
        self._sdp_id = str(int(session_id[:12], 16))
        self._versions = dict.fromkeys(RelaySide, 0)
        self._agreed: dict[RelaySide, tuple[str, ...]] = dict.fromkeys(RelaySide, ())
        """Codecs that each side took, best first; a party that takes another's place takes its side."""
        self._keys: dict[RelaySide, int | None] = {}
        """Payload type in which each side takes pressed keys (RFC 4733), None: not at all. The relay passes
        them on as they are, so both sides are to use the same one."""
        self._hosts: dict[RelaySide, str] = {}
        """By side: the address that its party reaches the relay at, if it is not the usual one."""
        self._secured: set[RelaySide] = set()
        """Sides at which the relay speaks DTLS-SRTP and ICE: a browser is there, or may answer."""
        self._direct: dict[RelaySide, bytes] = {}
        """Without a relay: what a caller offers, and what the other party answers."""
        self._joined = False
        self._is_held = False
        self._is_closed = False

    @property
    def has_relay(self) -> bool:
        """Tell whether there is a relay to play and join with."""
        return self._relay is not None

    @property
    def can_answer(self) -> bool:
        """Tell whether the relay is in the path, so that a phone's new offer can be answered from here."""
        return self.has_relay and not self.is_direct

    def offers(self, side: RelaySide) -> bool:
        """Tell whether our INVITE to this side carries an offer."""
        if side.other in self._direct:
            return True
        return self.has_relay and not (self._mode is MediaMode.BYPASS and side is RelaySide.SECOND)

    def face(self, side: RelaySide, host: str) -> None:
        """Say at which of our addresses the party of a side reaches us: what it is told next names that."""
        self._hosts[side] = host

    # --- our offer, their answer --------------------------------------------------------------------

    async def offer(
        self, side: RelaySide, codecs: Sequence[str], *, secure: bool | None = None
    ) -> SessionDescription:
        """Return our offer. codecs are the endpoint's, empty for the default.

        secure: for a browser, or not; None: as before. Raises MediaIncompatible (no common codec), RelayLost,
        RelayFull, MediaRefused.
        """
        if side.other in self._direct:
            return SessionDescription.parse(self.foreign(side, self._direct[side.other]))
        theirs = self._agreed[side.other]
        wanted = tuple(codecs) or theirs or DEFAULT_CODECS
        if theirs:
            wanted = tuple(name for name in theirs if name in wanted)
        return await self._offer_of(side, wanted, secure=side in self._secured if secure is None else secure)

    async def _offer_of(self, side: RelaySide, codecs: Sequence[str], *, secure: bool) -> SessionDescription:
        port = await self._open(side)
        dtls = await self._secure(side) if secure else None
        try:
            return build_offer(
                port.address,
                port.port,
                codecs,
                self._sdp_id,
                version=self._next(side),
                telephone_event=self._keys.get(side.other, TELEPHONE_EVENT_TYPE),
                dtls=dtls,
            )
        except LocalNoCodec:
            raise MediaIncompatible(f"no common codec: {', '.join(codecs)}") from None

    def take_answer(self, side: RelaySide, offer: SessionDescription, body: bytes) -> str:
        """Connect a side as its answer says; return words for people. Raises MediaIncompatible."""
        target = self._read(body, lambda answer: check_answer(offer, answer))
        self._note_agreed(side, target)
        if self._direct:
            self._direct[side] = body
        self._connect(side, target)
        return _words(target)

    def _note_agreed(self, side: RelaySide, target: AudioTarget) -> None:
        self._agreed[side] = target.codec_names
        self._keys[side] = target.event_type

    def must_narrow(self, side: RelaySide) -> bool:
        """Tell whether a side would send a codec that the other did not take."""
        common = self._common(side)
        return not self.is_direct and bool(common) and common[0] != self._agreed[side][0]

    async def narrowed_offer(self, side: RelaySide) -> SessionDescription:
        """Return an offer to a side of what both take. Raises RelayLost."""
        return await self.offer(side, self._common(side))

    def _common(self, side: RelaySide) -> tuple[str, ...]:
        return tuple(name for name in self._agreed[side] if name in self._agreed[side.other])

    def take_early_answer(self, side: RelaySide, offer: SessionDescription, body: bytes) -> bool:
        """Connect a side that has not answered yet; return False if its SDP is of no use.

        While a browser rings beside a phone, the relay speaks the browser's language: nothing is heard early.
        """
        if side in self._secured and not any(media.is_dtls for media in offer.media):
            return False
        try:
            self.take_answer(side, offer, body)
        except MediaIncompatible:
            return False
        return True

    # --- their offer, our answer --------------------------------------------------------------------

    def take_offer(self, body: bytes) -> str:
        """Look at the offer of a 200; return words for people. Raises MediaIncompatible."""
        return _words(self._read(body, audio_target))

    def take_caller(self, side: RelaySide, body: bytes, codecs: Sequence[str]) -> None:
        """Look at what a caller offers: the other party is offered no more. Empty: it wants our offer.

        codecs are the caller's endpoint's, empty for the default. Raises MediaIncompatible.
        """
        allowed = tuple(codecs) or DEFAULT_CODECS
        if not body and self.has_relay:
            self._agreed[side] = allowed
            return
        target = self._read(body, audio_target)
        if not self.has_relay:
            self.is_direct = True
            self._direct[side] = body
        common = tuple([name for name in target.codec_names if self.is_direct or name in allowed])
        if not common:
            raise MediaIncompatible(f"none of {', '.join(target.codec_names)} is allowed")
        self._agreed[side], self._keys[side] = common, target.event_type

    async def answer_caller(self, side: RelaySide, body: bytes) -> bytes:
        """Answer a caller's offer, with what the other party took if it is known.

        Raises MediaIncompatible, RelayLost, RelayFull.
        """
        if not self.is_direct:
            return await self.answer(side, body)
        if side.other not in self._direct:
            raise MediaIncompatible("the other party has not said where it wants its media")
        return self.foreign(side, self._direct[side.other])

    def hold_answer(self, body: bytes) -> bytes:
        """Return an answer that takes no packets, for an offer that only had to be answered."""
        try:
            offer = SessionDescription.parse(body)
            codecs = [codec.name for media in offer.media for codec in media.codecs]
            answer = build_answer(offer, NOWHERE, DISCARD_PORT, codecs, self._sdp_id, version=1)
        except RemoteMalformed:
            return b""
        return answer.to_bytes().replace(b"a=sendrecv", b"a=inactive")

    async def answer(self, side: RelaySide, body: bytes) -> bytes:
        """Answer an offer with the relay's port; connect the side. Raises MediaIncompatible, RelayLost."""
        port = await self._open(side)
        target = self._read(body, audio_target)
        dtls = await self._secure(side) if target.dtls is not None else None
        return self._answer_at(side, port, body, dtls)

    async def take_new_offer(self, side: RelaySide, body: bytes) -> bytes:
        """Answer a re-INVITE of a phone from our side of the session (hold, new address).

        An empty body asks us to offer: the session as it is. Raises MediaIncompatible, RelayLost.
        """
        assert self._relay is not None
        if body:
            return await self.answer(side, body)
        return (await self.offer(side, ())).to_bytes()

    async def offer_of(self, side: RelaySide, body: bytes) -> SessionDescription:
        """Return an offer to a side of the codecs that the other party offers now, whatever was agreed.

        Raises MediaIncompatible, RelayLost.
        """
        wanted = self._read(body, audio_target).codec_names
        return await self._offer_of(side, wanted, secure=side in self._secured)

    def take_late_answer(self, side: RelaySide, body: bytes) -> None:
        """Take the answer that an ACK brought to an offer of ours; one that is of no use is left."""
        try:
            target = self._read(body, audio_target)
            if target.codec_names:
                self._note_agreed(side, target)
            self._connect(side, target)
        except MediaIncompatible as error:
            _log.info("an ACK without a usable answer", reason=str(error))

    def _answer_at(self, side: RelaySide, port: RelayPort, body: bytes, dtls: DtlsPort | None) -> bytes:
        allowed = self._agreed[side.other] or DEFAULT_CODECS
        version = self._next(side)
        try:
            offer = SessionDescription.parse(body)
            answer = build_answer(
                offer, port.address, port.port, allowed, self._sdp_id, version=version, dtls=dtls
            )
            target = audio_target(offer)
            self._note_agreed(side, audio_target(answer))
        except RemoteMalformed as error:
            raise MediaIncompatible(str(error)) from None
        self._connect(side, target)
        return answer.to_bytes()

    # --- from party to party ------------------------------------------------------------------------

    def needs_relay(self, side: RelaySide, body: bytes) -> bool:
        """Tell whether a side cannot take the other's media as it is: only one of them is a browser's."""
        is_dtls = self._read(body, audio_target).dtls is not None
        return self.has_relay and is_dtls != (side in self._secured)

    def foreign(self, side: RelaySide, body: bytes) -> bytes:
        """Return the other party's SDP for this side: its media, under the origin of our session."""
        description = SessionDescription.parse(body)
        kept = [(kind, value) for kind, value in description.lines if kind not in "vos"]
        address = next((media.connection for media in description.media if media.connection), "")
        address = address or next((value.split()[-1] for kind, value in kept if kind == "c"), NOWHERE)
        family = "IP6" if ":" in address else "IP4"
        origin = f"- {self._sdp_id} {self._next(side)} IN {family} {address}"
        lines = (("v", "0"), ("o", origin), ("s", "-"), *kept)
        return msgspec.structs.replace(description, lines=lines).to_bytes()

    def go_direct(self) -> None:
        """The parties send to each other: let the relay go."""
        self.is_direct = True
        self.close()

    # --- hearing ------------------------------------------------------------------------------------

    async def play(self, side: RelaySide, media: str) -> None:
        """Play ringback, music or an announcement to a side, unless it was joined meanwhile."""
        if self._relay is None:
            return
        try:
            prepared = await self._library.prepare(media or DEFAULT_RINGBACK)
        except MediaError as error:
            _log.warning("nothing to play", media=media, reason=str(error))
            return
        if not self._joined:
            self._relay.play(self.session_id, side, prepared)

    def pass_early_media(self) -> None:
        """Let the first party hear the second before it answered."""
        if self._relay is not None:
            self._joined = True
            self._relay.pass_through(self.session_id, RelaySide.FIRST)

    def join(self) -> None:
        """Let both parties hear each other."""
        self._joined = True
        self._is_held = False
        if self._relay is not None:
            self._relay.join(self.session_id)

    async def offer_place(
        self, side: RelaySide, guest: "CallMedia", guest_side: RelaySide
    ) -> SessionDescription:
        """Return the offer that brings a party of another call to a side whose own party leaves.

        Raises as `offer` does.
        """
        if guest_side in guest._hosts:
            self.face(side, guest._hosts[guest_side])
        return await self.offer(side, (), secure=guest_side in guest._secured)

    async def hold(self, side: RelaySide, media: str) -> None:
        """Play to one party and let the other hear nothing, until `unhold` or the end."""
        self._is_held = True
        if self._relay is None or self.is_direct:
            return  # in a bypass the phones tell each other
        try:
            prepared = await self._library.prepare(media or BUILT_IN_MUSIC)
        except MediaError as error:
            _log.warning("nothing to play on hold", media=media, reason=str(error))
            prepared = None
        if not self._is_held or self._is_closed:
            return
        self._relay.silence(self.session_id, side.other)
        if prepared is None:
            self._relay.silence(self.session_id, side)
        else:
            self._relay.play(self.session_id, side, prepared)

    async def play_once(self, side: RelaySide, media: str) -> None:
        """Play something to a joined side; then it hears the other again."""
        if self._relay is None:
            return
        try:
            prepared = await self._library.prepare(media)
        except MediaError as error:
            _log.warning("nothing to play", media=media, reason=str(error))
            return
        if self._joined and not self._is_held and not self._is_closed:
            self._relay.play(self.session_id, side, prepared, is_once=True)

    def stop_playing(self, side: RelaySide) -> None:
        """Let a joined side hear the other again."""
        if self._relay is not None and not self._is_held:
            self._relay.pass_through(self.session_id, side)

    def start_recording(self, recording_id: str) -> None:
        """Record both directions from now on."""
        if self._relay is None or self.recorder is None or self._is_closed:
            return
        self._recordings[recording_id] = (self._clock.epoch(), 0.0)
        self._relay.record(self.session_id, self._hand_over)

    def stop_recording(self, recording_id: str) -> None:
        """Let a recording end here, if it runs."""
        begin, end = self._recordings.get(recording_id, (0.0, 0.0))
        if begin and not end:
            self._recordings[recording_id] = (begin, self._clock.epoch())

    def _hand_over(self, captures: Sequence[Path]) -> None:
        """The relay session is closed, or its relay is lost before the call's end: make the recordings."""
        assert self.recorder is not None
        over_at = self._closed_at or self._clock.epoch()
        recordings, self._recordings = self._recordings, {}
        voices = [capture for capture in captures if capture.suffix == ".rtp"]  # the rest is RTCP
        for recording_id, (begin, end) in recordings.items():
            self.recorder.make(recording_id, begin, end or over_at, voices)
        self.recorder.forget(captures)
        self.recorder.arrived(self.session_id)

    def unhold(self) -> None:
        """Let both parties hear each other again."""
        self.join()

    def close(self) -> None:
        """Free the ports. Idempotent."""
        if self._recordings and self.recorder is not None and not self._is_closed:
            self._closed_at = self._clock.epoch()
            self.recorder.expect(self.session_id)
        self._joined = self._is_closed = True
        if self._relay is not None:
            self._relay.close(self.session_id)

    # --- within -------------------------------------------------------------------------------------

    async def _open(self, side: RelaySide) -> RelayPort:
        """Return the port of a side. A phone may change its session in the instant the call ends: then none.

        Raises MediaIncompatible, RelayLost, RelayFull.
        """
        assert self._relay is not None
        if not self._is_closed:
            host = self._hosts.get(side, "")
            family = {"ipv6": True} if ":" in host else {}
            port = await self._relay.open_leg(self.session_id, side, **family)
            if not self._is_closed:
                return RelayPort(host or port.address, port.port)
            self._relay.close(self.session_id)
        raise MediaIncompatible("the call is over")

    async def _secure(self, side: RelaySide) -> DtlsPort:
        """Let the relay speak DTLS-SRTP and ICE at a side. Raises RelayLost, MediaRefused."""
        assert self._relay is not None
        self._secured.add(side)
        return await self._relay.secure_leg(self.session_id, side)

    def _connect(self, side: RelaySide, target: AudioTarget) -> None:
        if self._relay is None:
            return
        types = [codec.payload_type for codec in target.codecs]
        if target.dtls is not None:
            self._relay.connect_leg(self.session_id, side, target.host, target.port, types, dtls=target.dtls)
        elif target.host not in (NOWHERE, "::"):
            self._secured.discard(side)
            self._relay.connect_leg(self.session_id, side, target.host, target.port, types)

    def _read(self, body: bytes, read: Callable[[SessionDescription], AudioTarget]) -> AudioTarget:
        if not body:
            raise MediaIncompatible("no SDP")
        try:
            return read(SessionDescription.parse(body))
        except RemoteMalformed as error:
            raise MediaIncompatible(str(error)) from None

    def _next(self, side: RelaySide) -> int:
        self._versions[side] += 1
        return self._versions[side]


class CallMediaFactory:
    """Opens the media of calls, and passes on what the relay reports."""

    def __init__(
        self,
        relay: MediaRelay | None,
        library: MediaLibrary,
        *,
        clock: Clock,
        recordings: Path | None = None,
    ) -> None:
        """Prepare; recordings is where finished ones wait to be taken away, None: there are none."""
        self._relay = relay
        self._library = library
        self._clock = clock
        self._folder = recordings
        self._recorder: Recorder | None = None
        self._report_lost: Callable[[str], None] = lambda session_id: None

    async def start(
        self, report_lost: Callable[[str], None], report_recording: Callable[[RecordingMade], None]
    ) -> None:
        """Bring the relay up.

        `report_lost(session_id)` is called when it dies under a session, report_recording when a recording
        is ready.
        """
        if self._folder is not None:
            self._recorder = Recorder(self._folder, report_recording)
        self._report_lost = report_lost
        if self._relay is not None:
            await self._relay.start(self._on_error)

    async def stop(self) -> None:
        """End the relay, when what was recorded is made."""
        if self._recorder is not None:
            await self._recorder.stop()
        if self._relay is not None:
            await self._relay.stop()

    def open(self, session_id: str, mode: MediaMode) -> CallMedia:
        """Return the media of a new call; nothing is allocated yet."""
        media = CallMedia(self._relay, self._library, session_id, mode, clock=self._clock)
        media.recorder = self._recorder
        return media

    def _on_error(self, session_id: str, error: MediaError) -> None:
        _log.error("relay error", session_id=session_id, reason=str(error))
        if isinstance(error, RelayLost):
            asyncio.get_running_loop().call_soon(self._report_lost, session_id)


def _words(target: AudioTarget) -> str:
    return f"{'/'.join(target.codec_names)} {target.host}:{target.port}"
