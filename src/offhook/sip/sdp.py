"""Session descriptions: offer and answer for one audio stream (RFC 8866, RFC 3264).

Lines are kept as written, so that a description passed on is the one received.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Self

import msgspec

from .errors import RemoteMalformed, SipError
from .grammar import MAX_PORT, parse_digits
from .sdp_dtls import DTLS_PROFILES, OFFERED_PROFILE, DtlsPeer, DtlsPort, dtls_lines, read_dtls

MAX_SDP_BYTES: Final = 32_768
"""A browser's offer with dozens of candidates stays below 10 KiB."""
MAX_LINES: Final = 1_000
MAX_MEDIA: Final = 32
MAX_FORMATS: Final = 128
"""There are 128 payload types."""
TELEPHONE_EVENT: Final = "telephone-event"
TELEPHONE_EVENT_TYPE: Final = 101

_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
_REVERSED: Final = {"sendonly": "recvonly", "recvonly": "sendonly"}
_HELD: Final = {"sendrecv": "sendonly", "recvonly": "inactive"}
ICE_LITE: Final = (("a", "ice-lite"),)
_RTP_PROFILES: Final = frozenset(("RTP/AVP", "RTP/AVPF"))
_NOWHERE: Final = frozenset(("0.0.0.0", "::"))  # noqa: S104 (RFC 2543's way to hold, no bind)


class LocalNoCodec(SipError):
    """None of the codecs we were asked to offer is one we know."""

    code = "sip-no-codec"


class Codec(msgspec.Struct, frozen=True):
    """A payload format."""

    name: str
    """KAZOO's spelling: `PCMU`, `OPUS`; unknown ones upper case; `telephone-event`."""
    payload_type: int
    clock_rate: int = 8000
    channels: int = 1
    fmtp: str = ""
    """Format parameters as written."""

    @property
    def rtpmap(self) -> str:
        """The value of the rtpmap attribute, without the payload type."""
        name = "opus" if self.name == "OPUS" else self.name
        channels = f"/{self.channels}" if self.channels > 1 else ""
        return f"{name}/{self.clock_rate}{channels}"


CODECS: Final = {
    "PCMU": Codec("PCMU", 0),
    "GSM": Codec("GSM", 3),
    "PCMA": Codec("PCMA", 8),
    "G722": Codec("G722", 9),  # samples at 16 kHz; 8000 is RFC 3551's historical slip
    "G729": Codec("G729", 18),
    "OPUS": Codec("OPUS", 111, 48_000, 2),
}
"""KAZOO's names and the payload types we offer; the types below 96 are RFC 3551's."""
_STATIC: Final = {codec.payload_type: codec for codec in CODECS.values() if codec.payload_type < 96}

_are_lines = re.compile(r"(?:[a-z]=[^\n]*+(?:\n|\Z))*+").fullmatch
_USUAL: Final = {(str(codec.payload_type), codec.rtpmap): codec for codec in _STATIC.values()}
"""What nearly all descriptions hold, without another look."""

Lines = tuple[tuple[str, str], ...]


class MediaSection(msgspec.Struct, frozen=True):
    """An m= line and what follows it."""

    kind: str
    """`audio`, `video`, …"""
    port: int
    """0: refused or disabled."""
    protocol: str
    """`RTP/AVP`"""
    formats: tuple[str, ...]
    lines: Lines = ()
    """(type, value) of each line after m=."""

    @property
    def connection(self) -> str:
        """The address of this section's own c= line, or ""."""
        return _connection(self.lines)

    @property
    def is_dtls(self) -> bool:
        """Tell whether the media is encrypted by DTLS-SRTP, as browsers want it."""
        return self.protocol.upper() in DTLS_PROFILES

    def attributes(self, name: str) -> list[str]:
        """Return the values of every a=name:value line, "" for a=name."""
        return _attributes(self.lines, name)

    @property
    def codecs(self) -> tuple[Codec, ...]:
        """The formats in order of preference; those without a meaning (no rtpmap) are left out."""
        rtpmaps = _by_format(self.attributes("rtpmap"))
        fmtps = _by_format(self.attributes("fmtp"))
        found = [_codec(text, rtpmaps.get(text), fmtps.get(text, "")) for text in self.formats]
        return tuple([codec for codec in found if codec is not None])

    @property
    def ptime_ms(self) -> int | None:
        """The packet time the peer wants, or None."""
        values = self.attributes("ptime")
        return parse_digits(values[0], 1000) if values else None

    def __str__(self) -> str:
        return _join(
            (("m", f"{self.kind} {self.port} {self.protocol} {' '.join(self.formats)}"), *self.lines)
        )


class SessionDescription(msgspec.Struct, frozen=True):
    """A whole description."""

    lines: Lines
    """(type, value) of each line before the first m=."""
    media: tuple[MediaSection, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Parse a body. Raises RemoteMalformed("sdp"); bare LF line ends are taken too."""
        lines = _read_lines(data)
        starts = [at for at, (kind, _) in enumerate(lines) if kind == "m"]
        if not lines or lines[0] != ("v", "0") or len(starts) > MAX_MEDIA:
            raise RemoteMalformed("sdp", "no v=0 at the start, or too many media")
        first = starts[0] if starts else len(lines)
        media = [
            _parse_media(lines[start][1], lines[start + 1 : end])
            for start, end in pairwise([*starts, len(lines)])
        ]
        return cls(tuple(lines[:first]), tuple(media))

    @property
    def audio(self) -> MediaSection | None:
        """The first audio section that is not refused, or None."""
        return next((media for media in self.media if media.kind == "audio" and media.port), None)

    def host_of(self, media: MediaSection) -> str:
        """Return the address a section's packets go to. Raises RemoteMalformed if there is none."""
        host = media.connection or _connection(self.lines)
        if not host:
            raise RemoteMalformed("sdp", "no c= line")
        return host

    def direction_of(self, media: MediaSection) -> str:
        """Return `sendrecv`, `sendonly`, `recvonly` or `inactive`, as the sender sees it.

        c=0.0.0.0 is the old way to hold (RFC 3264 8.4): no packets may be sent there.
        """
        direction = _direction(media.lines) or _direction(self.lines) or "sendrecv"
        held = self.host_of(media) in _NOWHERE and not media.is_dtls  # with ICE it says nothing
        return _HELD.get(direction, direction) if held else direction

    def dtls_of(self, media: MediaSection) -> DtlsPeer | None:
        """Return the peer's side of DTLS and ICE, or None for plain RTP. Raises RemoteMalformed (488)."""
        if not media.is_dtls:
            return None
        names = ("fingerprint", "setup", "ice-ufrag", "ice-pwd", "candidate")
        return read_dtls({name: media.attributes(name) or _attributes(self.lines, name) for name in names})

    def __str__(self) -> str:
        return _join(self.lines) + "".join([str(media) for media in self.media])

    def to_bytes(self) -> bytes:
        """Return the body to send."""
        return str(self).encode("utf-8", "surrogateescape")


class AudioTarget(msgspec.Struct, frozen=True):
    """Where a peer wants its audio, and in which formats."""

    host: str
    port: int
    codecs: tuple[Codec, ...]
    """In order of preference; telephone-event among them if offered."""
    direction: str
    """As the peer sees it."""
    dtls: DtlsPeer | None = None
    """Its side of DTLS and ICE; None: plain RTP."""

    @property
    def codec_names(self) -> tuple[str, ...]:
        """KAZOO's names of the codecs, without telephone-event."""
        return tuple([codec.name for codec in self.codecs if codec.name != TELEPHONE_EVENT])

    @property
    def event_type(self) -> int | None:
        """Payload type of pressed keys (RFC 4733), or None."""
        return next((codec.payload_type for codec in self.codecs if codec.name == TELEPHONE_EVENT), None)

    @property
    def is_held(self) -> bool:
        """The peer wants no audio now."""
        return self.direction in ("sendonly", "inactive")


def audio_target(description: SessionDescription) -> AudioTarget:
    """Return the audio of a description. Raises RemoteMalformed (status 488) if there is none."""
    audio = description.audio
    if audio is None:
        raise RemoteMalformed("sdp", "no audio", status=488)
    host, direction = description.host_of(audio), description.direction_of(audio)
    return AudioTarget(host, audio.port, audio.codecs, direction, description.dtls_of(audio))


def build_offer(
    address: str,
    port: int,
    codecs: Sequence[str],
    session_id: str,
    *,
    version: int = 1,
    telephone_event: int | None = TELEPHONE_EVENT_TYPE,
    direction: str = "sendrecv",
    dtls: DtlsPort | None = None,
) -> SessionDescription:
    """Return an offer of one audio stream. codecs are KAZOO's names; unknown ones are left out.

    session_id is decimal digits; version grows with each offer in a dialog. telephone_event is the payload
    type of pressed keys (RFC 4733), None for none. With dtls it is for a browser.
    Raises LocalNoCodec.
    """
    offered = [CODECS[name] for name in codecs if name in CODECS]
    if not offered:
        raise LocalNoCodec(", ".join(codecs))
    if telephone_event is not None:
        offered.append(Codec(TELEPHONE_EVENT, telephone_event, fmtp="0-16"))
    audio = _audio_section(port, "RTP/AVP", offered, direction)
    lines = _session_lines(address, session_id, version)
    if dtls is not None:
        audio = msgspec.structs.replace(
            audio,
            protocol=OFFERED_PROFILE,
            lines=(*audio.lines, *dtls_lines(dtls, address, port, setup="actpass", mid="0")),
        )
        lines += ICE_LITE
    return SessionDescription(lines, (audio,))


def build_answer(
    offer: SessionDescription,
    address: str,
    port: int,
    allowed: Sequence[str],
    session_id: str,
    *,
    version: int = 1,
    dtls: DtlsPort | None = None,
) -> SessionDescription:
    """Answer the first audio stream that has an allowed codec; refuse all else with port 0.

    Payload types and their order are the offer's (RFC 3264 6.1). Encrypted streams are accepted with dtls,
    plain ones without. Raises RemoteMalformed with status 488 if nothing can be accepted.
    """
    profiles = _RTP_PROFILES if dtls is None else DTLS_PROFILES
    accepted = next(
        (media for media in offer.media if media.protocol.upper() in profiles and _common(media, allowed)),
        None,
    )
    if accepted is None:
        raise RemoteMalformed("sdp", "no audio in a codec that is allowed", status=488)
    direction = offer.direction_of(accepted)
    codecs = _common(accepted, allowed)
    codecs += [codec for codec in accepted.codecs if codec.name == TELEPHONE_EVENT]
    answer = _audio_section(port, accepted.protocol, codecs, _REVERSED.get(direction, direction))
    lines = _session_lines(address, session_id, version)
    if dtls is not None:
        peer, mid = offer.dtls_of(accepted), next(iter(accepted.attributes("mid")), "0")
        setup = "passive" if peer is None or peer.is_active else "active"
        more = dtls_lines(dtls, address, port, setup=setup, mid=mid)
        answer = msgspec.structs.replace(answer, lines=(*answer.lines, *more))
        lines += ICE_LITE
        if any(kind == "a" and value.startswith("group:BUNDLE") for kind, value in offer.lines):
            lines += (("a", f"group:BUNDLE {mid}"),)
    media = [answer if media is accepted else _refused(media) for media in offer.media]
    return SessionDescription(lines, tuple(media))


def check_answer(offer: SessionDescription, answer: SessionDescription) -> AudioTarget:
    """Return where an answer to an offer of ours wants its audio.

    Raises RemoteMalformed (status 488) if it does not fit: other streams than offered, none
    accepted, or no codec of the offer.
    """
    if [media.kind for media in offer.media] != [media.kind for media in answer.media]:
        raise RemoteMalformed("sdp", "the answer's streams are not the offer's", status=488)
    target = audio_target(answer)
    offered = {codec.name for media in offer.media for codec in media.codecs}
    codecs = tuple([codec for codec in target.codecs if codec.name in offered])
    if (target.dtls is not None) != any(media.is_dtls for media in offer.media):
        raise RemoteMalformed("sdp", "the answer's profile is not the offer's", status=488)
    fitting = msgspec.structs.replace(target, codecs=codecs)
    if not fitting.codec_names:
        raise RemoteMalformed("sdp", "the answer has no codec of the offer", status=488)
    return fitting


def _read_lines(data: bytes) -> list[tuple[str, str]]:
    if len(data) > MAX_SDP_BYTES:
        raise RemoteMalformed("sdp", f"longer than {MAX_SDP_BYTES} bytes", status=413)
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n")
    lines = text.split("\n") if text else []
    if len(lines) > MAX_LINES or "\r" in text or "\0" in text:
        raise RemoteMalformed("sdp", "too many lines, or a bare CR or NUL")
    if not _are_lines(text):
        raise RemoteMalformed("sdp", "a line that does not start with letter and =")
    return [(line[0], line[2:]) for line in lines]


def _parse_media(text: str, lines: list[tuple[str, str]]) -> MediaSection:
    words = text.split()
    port = parse_digits(words[1].partition("/")[0], MAX_PORT) if len(words) > 3 else None
    if port is None or len(words) > 3 + MAX_FORMATS:
        raise RemoteMalformed("sdp", "an m= line without kind, port, protocol and formats")
    return MediaSection(words[0].lower(), port, words[2], tuple(words[3:]), tuple(lines))


def _connection(lines: Lines) -> str:
    for kind, value in lines:
        if kind == "c":
            words = value.split()
            if len(words) != 3 or words[0] != "IN" or words[1] not in ("IP4", "IP6"):
                raise RemoteMalformed("sdp", "a c= line that is not IN IP4 or IP6 and an address")
            return words[2].partition("/")[0]
    return ""


def _attributes(lines: Lines, name: str) -> list[str]:
    prefix = f"{name}:"
    return [
        value[len(prefix) :] if value.startswith(prefix) else ""
        for kind, value in lines
        if kind == "a" and (value == name or value.startswith(prefix))
    ]


def _direction(lines: Lines) -> str:
    return next((value for kind, value in lines if kind == "a" and value in _DIRECTIONS), "")


def _by_format(values: list[str]) -> dict[str, str]:
    """Return `0 → PCMU/8000` for values like `0 PCMU/8000`."""
    pairs = [value.strip().partition(" ") for value in values]
    return {key: value.strip() for key, _, value in pairs}


def _codec(text: str, rtpmap: str | None, fmtp: str) -> Codec | None:
    usual = _USUAL.get((text, rtpmap or "")) if not fmtp else None
    if usual is not None:
        return usual
    payload_type = parse_digits(text, 127)
    if payload_type is None:
        return None
    if rtpmap is None:
        static = _STATIC.get(payload_type)
        return static and Codec(static.name, payload_type, fmtp=fmtp)
    name, _, rest = rtpmap.partition("/")
    rate, _, channels = rest.partition("/")
    clock_rate = parse_digits(rate.strip(), 1_000_000)
    if clock_rate is None:
        return None
    is_event = name.lower() == TELEPHONE_EVENT
    count = parse_digits(channels.strip(), 255) or 1
    return Codec(TELEPHONE_EVENT if is_event else name.upper(), payload_type, clock_rate, count, fmtp)


def _common(media: MediaSection, allowed: Sequence[str]) -> list[Codec]:
    """Return the codecs of an offered section that are allowed, in the offer's order."""
    if media.kind != "audio" or not media.port:
        return []
    return [codec for codec in media.codecs if codec.name in allowed]


def _audio_section(port: int, protocol: str, codecs: Sequence[Codec], direction: str) -> MediaSection:
    lines = [("a", f"rtpmap:{codec.payload_type} {codec.rtpmap}") for codec in codecs]
    lines += [("a", f"fmtp:{codec.payload_type} {codec.fmtp}") for codec in codecs if codec.fmtp]
    formats = tuple([str(codec.payload_type) for codec in codecs])
    return MediaSection("audio", port, protocol, formats, (*lines, ("a", "ptime:20"), ("a", direction)))


def _refused(media: MediaSection) -> MediaSection:
    return MediaSection(media.kind, 0, media.protocol, media.formats)


def _session_lines(address: str, session_id: str, version: int) -> Lines:
    kind = "IP6" if ":" in address else "IP4"
    return (
        ("v", "0"),
        ("o", f"- {session_id} {version} IN {kind} {address}"),
        ("s", "-"),
        ("c", f"IN {kind} {address}"),
        ("t", "0 0"),
    )


def _join(lines: Lines) -> str:
    return "".join([f"{kind}={value}\r\n" for kind, value in lines])
