"""What holds for every input: nothing but RemoteMalformed, what is written can be read, no quadratic work."""

import re
from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.sip import (
    CSeq,
    Headers,
    KeepAlive,
    NameAddr,
    Parameters,
    RemoteMalformed,
    Request,
    Response,
    SessionDescription,
    SipUri,
    StreamFramer,
    Via,
    audio_target,
    build_answer,
    choose_challenge,
    parse_message,
    response_to,
    serialize,
    validate_request,
    validate_response,
)
from offhook.sip.digest import Credentials
from offhook.sip.grammar import quote

from .messages import INVITE, wire

FEW = settings(max_examples=150, deadline=None)
WIRE_ALPHABET = 'abSIP/2.0:;,=@<>"\\%?[]()-_ \t\r\n\0é'
TOKENS = st.text("abzAZ09-.!%*_+`'~", min_size=1, max_size=8)
LOOSE = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20)
PARAMETERS = st.lists(
    st.tuples(TOKENS, st.one_of(st.none(), TOKENS, LOOSE.map(quote))),
    max_size=4,
    unique_by=lambda pair: pair[0].lower(),
).map(lambda pairs: "".join([f";{name}" if value is None else f";{name}={value}" for name, value in pairs]))
URIS = st.builds(
    lambda scheme, user, host, port, params: f"{scheme}:{user}{host}{port}{params}",
    st.sampled_from(("sip", "sips")),
    st.sampled_from(("", "1001@", "a%20b@", "a;b=c:pw@", "+1555@")),
    st.sampled_from(("h", "a.example.com", "192.0.2.1", "[2001:db8::1]")),
    st.sampled_from(("", ":5060", ":1")),
    st.sampled_from(("", ";lr", ";transport=TCP;x=%41", ";ob?a=b&c=d")),
)


def read_everything(message: Request | Response) -> None:
    """Ask a message for all it has; each property raises RemoteMalformed or answers."""
    for name in (
        "vias", "via", "from_", "to", "from_tag", "to_tag", "call_id", "cseq", "contacts", "route",
        "record_route", "max_forwards", "content_length", "expires", "content_type",
    ):  # fmt: skip
        try:
            getattr(message, name)
        except RemoteMalformed:
            continue


# --- never anything but RemoteMalformed ---------------------------------------------------------------


@FEW
@given(st.one_of(st.binary(max_size=300), st.text(WIRE_ALPHABET, max_size=300).map(str.encode)))
def test_garbage_is_refused_in_words(data: bytes) -> None:
    for parse in (parse_message, SessionDescription.parse, StreamFramer().feed):
        try:
            assert parse(data) is not None
        except RemoteMalformed:
            continue
    text = data.decode("utf-8", "surrogateescape")
    choose_challenge([text])
    for read in (Via.parse, NameAddr.parse, CSeq.parse, SipUri.parse, Credentials.parse):
        try:
            read(text)
        except RemoteMalformed:
            continue


@FEW
@given(st.data())
def test_damaged_invite_is_taken_or_refused(data: st.DataObject) -> None:
    original = wire(INVITE)
    at = data.draw(st.integers(0, len(original) - 1))
    length = data.draw(st.integers(0, 12))
    noise = data.draw(st.one_of(st.binary(max_size=6), st.text(WIRE_ALPHABET, max_size=6).map(str.encode)))
    damaged = original[:at] + noise + original[at + length :]
    try:
        message = parse_message(damaged)
    except RemoteMalformed as fault:
        if fault.request is not None:
            parse_message(serialize(response_to(fault.request, 400, to_tag="t")))
        return
    read_everything(message)
    if isinstance(message, Request):
        assert validate_request(message) in (0, 400, 406, 415, 416, 420, 505)
        parse_message(serialize(response_to(message, 200, to_tag="t")))
    else:
        validate_response(message)


@FEW
@given(st.text("v=0omcast \r\nINP4.1audioRTP/AVP:;-", max_size=200))
def test_descriptions_of_odd_lines_are_taken_or_refused(text: str) -> None:
    try:
        description = SessionDescription.parse(f"v=0\r\n{text}\r\nm=audio 4000 RTP/AVP 0 8\r\n".encode())
        audio_target(description)
        assert build_answer(description, "192.0.2.1", 4000, ["PCMU"], "1")
    except RemoteMalformed:
        return


# --- what is written can be read ----------------------------------------------------------------------


@FEW
@given(LOOSE, URIS, PARAMETERS)
def test_name_addr_round_trip(display: str, uri: str, params: str) -> None:
    address = NameAddr(display, uri, Parameters.parse(params, "x"))
    assert NameAddr.parse(str(address)) == address
    assert str(SipUri.parse(uri)) == uri


@FEW
@given(TOKENS, st.sampled_from(("h.example", "[::1]")), st.sampled_from((None, 1, 65535)), PARAMETERS)
def test_via_round_trip(transport: str, host: str, port: int | None, params: str) -> None:
    via = Via(transport, host, port, Parameters.parse(params, "x"))
    assert Via.parse(str(via)) == via


@FEW
@given(
    TOKENS,
    st.lists(st.tuples(TOKENS, LOOSE.map(lambda text: text.strip(" \t"))), max_size=6),
    st.binary(max_size=40),
)
def test_message_round_trip(method: str, fields: list[tuple[str, str]], body: bytes) -> None:
    headers = Headers(
        [(name, value) for name, value in fields if name.lower() not in ("l", "content-length")]
    )
    request = Request(method, "sip:a@b", headers, body)
    again = parse_message(serialize(request))
    assert isinstance(again, Request)
    assert (again.method, again.uri, again.body) == (method, "sip:a@b", body)
    assert list(again.headers)[:-1] == list(headers)


@FEW
@given(st.lists(st.sampled_from([wire(INVITE), wire("SIP/2.0 200 OK\nl: 2\n\nok")]), max_size=4), st.data())
def test_segmentation_does_not_matter(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    framer = StreamFramer()
    found: list[bytes | KeepAlive] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += framer.feed(stream[start:end])
    assert found == messages


# --- work grows with size, not with its square --------------------------------------------------------

NASTY: dict[str, Callable[[int], bytes]] = {
    "spaces in a header": lambda n: wire("INVITE sip:a SIP/2.0\nTo: a" + " " * n + "b\n\n"),
    "spaces before the colon": lambda n: wire("INVITE sip:a SIP/2.0\nTo" + " " * n + "b\n\n"),
    "semicolons": lambda n: wire("INVITE sip:a SIP/2.0\nVia: SIP/2.0/UDP h" + ";" * n + "\n\n"),
    "open quotes": lambda n: wire("INVITE sip:a SIP/2.0\nTo: " + '"\\' * (n // 2) + "\n\n"),
    "commas": lambda n: wire("INVITE sip:a SIP/2.0\nRoute: " + "<," * (n // 2) + "\n\n"),
    "blanks in a Via": lambda n: wire("INVITE sip:a SIP/2.0\nVia: SIP/2.0/UDP" + " \t" * (n // 2) + "/\n\n"),
    "folds": lambda n: wire("INVITE sip:a SIP/2.0\nTo: x" + "\n " * (n // 4) + "\n\n"),
    "user part without a host": lambda n: wire(
        "INVITE sip:" + "a" * n + " SIP/2.0\nCSeq: " + "1" * n + "\n\n"
    ),
    "ports and digits": lambda n: wire("INVITE sip:a:" + "1" * n + " SIP/2.0\nCSeq: 1 " + "A" * n + "<\n\n"),
}


def cpu_time_for(work: Callable[[], object]) -> float:
    """Return the CPU seconds of the best of five runs; what else runs on the machine does not count."""
    times = []
    for _ in range(5):
        start = process_time()
        with suppress(RemoteMalformed):
            work()
        times.append(process_time() - start)
    return min(times)


def assert_not_quadratic(work: Callable[[int], object], size: int) -> None:
    """Eight times the input may cost 24 times as much and a millisecond; squared it would cost 64 times."""
    assert cpu_time_for(lambda: work(8 * size)) <= 24 * cpu_time_for(lambda: work(size)) + 0.001


def test_a_quadratic_pattern_would_be_caught() -> None:
    with pytest.raises(AssertionError):
        assert_not_quadratic(lambda size: re.search(" *x", " " * size), 2_000)


def read(data: bytes) -> None:
    message = parse_message(data)
    read_everything(message)
    if isinstance(message, Request):
        validate_request(message)


@pytest.mark.parametrize("name", NASTY)
def test_reading_a_message_is_not_quadratic(name: str) -> None:
    assert_not_quadratic(lambda size: read(NASTY[name](size)), 3_000)


@pytest.mark.parametrize(
    "unit",
    [" ", "\t ", ";", ";a", ";a=", ";a=b", '"', '\\"', "<", "<>", ",", "a", "1", "/", ":", "@", "%41", "a@"],
)
@pytest.mark.parametrize("parse", [Via.parse, NameAddr.parse, CSeq.parse, SipUri.parse, Credentials.parse])
@pytest.mark.parametrize("prefix", ["", "SIP/2.0/UDP ", "sip:", '"', "<sip:a>", "Digest a=", "1 "])
def test_parsing_a_value_is_not_quadratic(prefix: str, parse: Callable[[str], object], unit: str) -> None:
    assert_not_quadratic(lambda size: parse(prefix + unit * size + "\x7f"), 2_000)


def test_byte_by_byte_stream_is_not_searched_again_and_again() -> None:
    framer = StreamFramer()
    data = b"INVITE sip:a SIP/2.0\r\nX: " + b"x" * 2_000
    for at in range(len(data)):
        framer.feed(data[at : at + 1])
        assert framer._scanned >= at - 3
