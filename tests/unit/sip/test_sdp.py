import pytest

from offhook.sip import (
    LocalNoCodec,
    RemoteMalformed,
    SessionDescription,
    audio_target,
    build_answer,
    build_offer,
    check_answer,
)
from offhook.sip.sdp import MAX_LINES, MAX_SDP_BYTES

from .messages import wire

OFFER = """\
v=0
o=bob 2890844730 2890844731 IN IP4 host.example.com
s=
b=AS:64
c=IN IP4 192.0.2.4
t=0 0
a=group:BUNDLE 0 1
m=audio 49170 RTP/AVP 9 0 8 18 97 101
i=the voice
a=rtpmap:97 iLBC/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=fmtp:18 annexb=no
a=ptime:30
m=video 51372 RTP/AVP 31 32
c=IN IP4 192.0.2.5
a=rtpmap:31 H261/90000
a=sendonly
"""


def parse(text: str) -> SessionDescription:
    return SessionDescription.parse(wire(text))


def audio(*lines: str, session: str = "c=IN IP4 192.0.2.4") -> SessionDescription:
    """Return a description with these lines from the first m= on."""
    return parse("\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.4", "s=-", session, "t=0 0", *lines, ""]))


# --- reading ----------------------------------------------------------------------------------------


def test_offer_is_read() -> None:
    offer = parse(OFFER)
    target = audio_target(offer)
    assert (target.host, target.port, target.direction) == ("192.0.2.4", 49170, "sendrecv")
    assert target.codec_names == ("G722", "PCMU", "PCMA", "G729", "ILBC")
    assert [codec.payload_type for codec in target.codecs] == [9, 0, 8, 18, 97, 101]
    assert [codec.fmtp for codec in target.codecs if codec.fmtp] == ["annexb=no", "0-15"]
    assert offer.media[0].ptime_ms == 30
    assert offer.host_of(offer.media[1]) == "192.0.2.5"
    assert offer.direction_of(offer.media[1]) == "sendonly"


def test_description_is_passed_on_as_it_came() -> None:
    assert parse(OFFER).to_bytes() == wire(OFFER)


def test_bare_line_feeds_and_missing_last_break_are_taken() -> None:
    assert SessionDescription.parse(OFFER.rstrip("\n").encode()) == parse(OFFER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "hello",
        "o=- 1 1 IN IP4 h\nv=0\n",
        "v=1\n",
        "v=0\nm =audio 1 RTP/AVP 0\n",
        "v=0\nm=audio\n",
        "v=0\nm=audio 1 RTP/AVP\n",
        "v=0\nm=audio x RTP/AVP 0\n",
        "v=0\nm=audio 70000 RTP/AVP 0\n",
        "v=0\nm=audio -1 RTP/AVP 0\n",
        "v=0\n\ns=-\n",
        "v=0\nA=x\n",
        "v=0\na=x\ry\n",
        "v=0\na=x\0\n",
        "v=0\n" + "a=x\n" * MAX_LINES,
        "v=0\n" + "m=audio 1 RTP/AVP 0\n" * 40,
        "v=0\nm=audio 1 RTP/AVP" + " 0" * 200 + "\n",
        "v=0\na=" + "x" * MAX_SDP_BYTES + "\n",
    ],
)
def test_bad_description(text: str) -> None:
    with pytest.raises(RemoteMalformed, match=r"^sdp: "):
        parse(text)


@pytest.mark.parametrize("line", ["c=IN IP4", "c=ATM X y", "c=", "b=AS:64"])
def test_bad_or_missing_connection(line: str) -> None:
    with pytest.raises(RemoteMalformed):
        audio_target(audio("m=audio 4000 RTP/AVP 0", session=line))


@pytest.mark.parametrize("line", ["m=audio 0 RTP/AVP 0", "m=video 4000 RTP/AVP 31"])
def test_no_audio_is_488(line: str) -> None:
    with pytest.raises(RemoteMalformed) as caught:
        audio_target(audio(line))
    assert caught.value.status == 488


def test_connection_of_the_stream_wins_and_may_be_ipv6() -> None:
    description = audio("m=audio 4000/2 RTP/AVP 0", "c=IN IP6 2001:db8::1/127")
    target = audio_target(description)
    assert (target.host, target.port) == ("2001:db8::1", 4000)


@pytest.mark.parametrize(
    ("session", "line", "direction", "held"),
    [
        ("c=IN IP4 192.0.2.4", "a=sendonly", "sendonly", True),
        ("c=IN IP4 192.0.2.4", "a=inactive", "inactive", True),
        ("c=IN IP4 192.0.2.4", "a=recvonly", "recvonly", False),
        ("c=IN IP4 192.0.2.4\na=sendonly", "a=x", "sendonly", True),
        ("c=IN IP4 192.0.2.4\na=sendonly", "a=sendrecv", "sendrecv", False),
        ("c=IN IP4 0.0.0.0", "a=x", "sendonly", True),
        ("c=IN IP4 0.0.0.0", "a=recvonly", "inactive", True),
        ("c=IN IP6 ::", "a=inactive", "inactive", True),
    ],
)
def test_direction_and_hold(session: str, line: str, direction: str, held: bool) -> None:
    target = audio_target(audio("m=audio 4000 RTP/AVP 0", line, session=session))
    assert (target.direction, target.is_held) == (direction, held)


def test_formats_without_meaning_are_left_out() -> None:
    description = audio(
        "m=audio 4000 RTP/AVP 0 96 97 98 x 200", "a=rtpmap:97 L16", "a=rtpmap:98 opus/48000/2"
    )
    assert [(codec.name, codec.channels) for codec in audio_target(description).codecs] == [
        ("PCMU", 1),
        ("OPUS", 2),
    ]


# --- offering ---------------------------------------------------------------------------------------


def test_offer_is_built() -> None:
    offer = build_offer("192.0.2.1", 20000, ["G729", "CELT_48", "OPUS", "PCMU"], "77", version=3)
    assert offer.to_bytes() == wire(
        "v=0\no=- 77 3 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"
        "m=audio 20000 RTP/AVP 18 111 0 101\n"
        "a=rtpmap:18 G729/8000\na=rtpmap:111 opus/48000/2\na=rtpmap:0 PCMU/8000\n"
        "a=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=ptime:20\na=sendrecv\n"
    )
    assert SessionDescription.parse(offer.to_bytes()) == offer


def test_offer_over_ipv6_without_events() -> None:
    offer = build_offer("2001:db8::1", 20000, ["PCMA"], "77", telephone_event=None, direction="inactive")
    assert "IN IP6 2001:db8::1" in str(offer)
    assert "telephone-event" not in str(offer)
    assert audio_target(offer).is_held


def test_offer_needs_a_known_codec() -> None:
    with pytest.raises(LocalNoCodec):
        build_offer("192.0.2.1", 20000, ["VP8"], "77")


# --- answering --------------------------------------------------------------------------------------


def test_answer_keeps_the_offers_types_and_refuses_the_rest() -> None:
    answer = build_answer(parse(OFFER), "192.0.2.9", 30000, ["PCMA", "G729"], "5")
    assert [(media.kind, media.port, media.formats) for media in answer.media] == [
        ("audio", 30000, ("8", "18", "101")),
        ("video", 0, ("31", "32")),
    ]
    assert "a=fmtp:18 annexb=no\r\n" in str(answer)
    assert check_answer(parse(OFFER), answer).codec_names == ("PCMA", "G729")


@pytest.mark.parametrize(
    ("offered", "answered"),
    [("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive"), ("sendrecv", "sendrecv")],
)
def test_answer_turns_the_direction_round(offered: str, answered: str) -> None:
    offer = audio("m=audio 4000 RTP/AVP 0", f"a={offered}")
    answer = build_answer(offer, "192.0.2.9", 30000, ["PCMU"], "5")
    assert answer.direction_of(answer.media[0]) == answered


def test_second_audio_stream_is_refused_and_the_fitting_one_is_taken() -> None:
    offer = audio(
        "m=audio 4000 RTP/SAVP 0",
        "m=audio 4002 RTP/AVP 9",
        "m=audio 4004 RTP/AVP 0",
        "m=audio 4006 RTP/AVP 0",
    )
    answer = build_answer(offer, "192.0.2.9", 30000, ["PCMU"], "5")
    assert [media.port for media in answer.media] == [0, 0, 30000, 0]


@pytest.mark.parametrize("line", ["m=audio 4000 RTP/AVP 9", "m=audio 0 RTP/AVP 0", "m=image 4000 udptl t38"])
def test_nothing_to_accept_is_488(line: str) -> None:
    with pytest.raises(RemoteMalformed) as caught:
        build_answer(audio(line), "192.0.2.9", 30000, ["PCMU"], "5")
    assert caught.value.status == 488


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=audio 0 RTP/AVP 0",),
        ("m=video 4000 RTP/AVP 31",),
        ("m=audio 4000 RTP/AVP 9",),
        ("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"),
        ("m=audio 4000 RTP/AVP 0", "m=video 4000 RTP/AVP 31"),
    ],
)
def test_answer_that_does_not_fit_is_488(lines: tuple[str, ...]) -> None:
    offer = build_offer("192.0.2.1", 20000, ["PCMU", "PCMA"], "77")
    with pytest.raises(RemoteMalformed) as caught:
        check_answer(offer, audio(*lines))
    assert caught.value.status == 488
