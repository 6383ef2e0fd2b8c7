"""What is fuzzed: each target takes any bytes and raises only if our code is at fault.

A target is a function of bytes. It raises nothing for what RemoteMalformed refuses, and uses no more CPU
than `CPU_MAX_S`.
"""

from collections.abc import Callable
from contextlib import suppress
from time import thread_time
from typing import Final

from offhook.sip import (
    CSeq,
    Flow,
    Headers,
    NameAddr,
    Parameters,
    Registrar,
    RemoteMalformed,
    Request,
    Response,
    SessionDescription,
    SipUri,
    StreamFramer,
    Via,
    answer_challenge,
    audio_target,
    build_answer,
    build_offer,
    check_answer,
    choose_challenge,
    parse_message,
    response_to,
    serialize,
    validate_request,
    validate_response,
)
from offhook.sip.digest import Credentials, DigestServer
from offhook.sip.grammar import split_outside

from .dialogs import play
from .source import Source

CPU_MAX_S: Final = 2.0
"""Ours take a millisecond; under a tracer on a busy machine forty times as much.
Quadratic work on 64 KB takes minutes."""

INPUT_MAX: Final = 65_535
"""A datagram cannot be longer."""

SOURCE: Final = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.2", 5060))


def codec(data: bytes) -> None:
    """A datagram: what is read can be asked everything, answered, and written so that it is read the same."""
    try:
        message = parse_message(data)
    except RemoteMalformed as fault:
        if fault.request is not None:
            with suppress(RemoteMalformed):
                parse_message(serialize(response_to(fault.request, 400, to_tag="t")))
        return
    _read_everything(message)
    if isinstance(message, Request):
        assert validate_request(message) in (0, 400, 406, 415, 416, 420, 483, 505)
        parse_message(serialize(response_to(message, 200, to_tag="t")))
    else:
        validate_response(message)
    again = parse_message(serialize(message))
    assert again.body == message.body
    assert type(again) is type(message)


def framing(data: bytes) -> None:
    """A stream in pieces of one size: the same messages as in one piece, or the same refusal."""
    source = Source(data)
    size = source.byte() + 1
    stream = source.rest()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert _framed(pieces) == _framed([stream])


def _framed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """Return the messages, and whether the stream is lost in the end."""
    framer, found = StreamFramer(), []
    for piece in pieces:
        with suppress(RemoteMalformed):
            found += [item for item in framer.feed(piece) if isinstance(item, bytes)]
    return found, framer.fault is not None


def sdp(data: bytes) -> None:
    """A session description: read, answered, taken as an answer, and written so that it is read the same."""
    try:
        description = SessionDescription.parse(data)
    except RemoteMalformed:
        return
    assert SessionDescription.parse(description.to_bytes()).to_bytes() == description.to_bytes()
    offer = build_offer("192.0.2.1", 4000, ["PCMU", "PCMA"], "1")
    for use in (
        lambda: audio_target(description),
        lambda: build_answer(description, "192.0.2.1", 4000, ["PCMU"], "1").to_bytes(),
        lambda: check_answer(offer, description),
    ):
        with suppress(RemoteMalformed):
            use()


def grammar(data: bytes) -> None:
    """A value of a header or a URI: read or refused; what was read is written so that it is read the same."""
    source = Source(data)
    parse = source.choice(_PARSERS)
    text = source.rest().decode("utf-8", "surrogateescape")
    try:
        value = parse(text)
    except RemoteMalformed:
        return
    if isinstance(value, Via | NameAddr | CSeq | SipUri):
        assert str(parse(str(value))) == str(value)


def _challenge(text: str) -> str | None:
    return answer_challenge([text], "user", "password", method="INVITE", uri="sip:a@b", cnonce="c")


def _credentials(text: str) -> Credentials:
    DigestServer(b"key").verify(
        "REGISTER", [text], lambda user, algorithm: "0" * 32, realm="example.com", now_s=1e9
    )
    return Credentials.parse(text)


def _uri(text: str) -> SipUri:
    uri = SipUri.parse(text)
    uri.is_equivalent(SipUri.parse("sip:a@b:5060;transport=tcp"))
    return uri


_PARSERS: Final[tuple[Callable[[str], object], ...]] = (
    _uri,
    Via.parse,
    NameAddr.parse,
    CSeq.parse,
    _credentials,
    _challenge,
    lambda text: Parameters.parse(text, "x"),
    lambda text: split_outside(text, ","),
    lambda text: choose_challenge([text]),
)


def registrar(data: bytes) -> None:
    """REGISTERs of one phone, apart by a NUL: bindings stay within their bounds, and all of them expire."""
    bindings = Registrar()
    for number, part in enumerate(data.split(b"\0")[:20], 1):
        message = _register(part, number)
        if message is not None and not validate_request(message):
            result = bindings.register(message, aor="sip:1001@example.com", now=1e9, source=SOURCE)
            assert result.status in (200, 400, 403, 416, 423, 500, 503)
            for name, value in result.headers:
                Headers().add(name, value)
    assert len(bindings) <= 10
    bindings.expire(2e9)
    assert len(bindings) == 0
    assert bindings.next_expiry() is None


def _register(lines: bytes, number: int) -> Request | None:
    head = (
        f"REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{number}\r\n"
        f"From: <sip:1001@example.com>;tag=1\r\nTo: <sip:1001@example.com>\r\nCall-ID: {number}\r\n"
        f"CSeq: {number} REGISTER\r\n"
    )
    try:
        message = parse_message(head.encode() + lines + b"\r\n\r\n")
    except RemoteMalformed:
        return None
    return message if isinstance(message, Request) else None


def dialogs(data: bytes) -> None:
    """A call and a peer who sends anything: see dialogs.py."""
    play(Source(data))


_PROPERTIES: Final = (
    "vias", "via", "from_", "to", "from_tag", "to_tag", "call_id", "cseq", "contacts", "route",
    "record_route", "max_forwards", "content_length", "expires", "content_type",
)  # fmt: skip


def _read_everything(message: Request | Response) -> None:
    for name in _PROPERTIES:
        with suppress(RemoteMalformed):
            getattr(message, name)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target for target in (codec, framing, sdp, grammar, registrar, dialogs)
}


def run(name: str, data: bytes) -> None:
    """Give one input to a target. Raises AssertionError, or what our code raised."""
    started = thread_time()
    TARGETS[name](data[:INPUT_MAX])
    used = thread_time() - started
    assert used <= CPU_MAX_S, f"{used:.1f} s of CPU for {len(data)} bytes"
