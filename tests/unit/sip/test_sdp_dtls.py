"""Descriptions of browsers: DTLS-SRTP and ICE in offers and answers (RFC 5763, RFC 8839)."""

import pytest

from offhook.sip.errors import RemoteMalformed
from offhook.sip.sdp import SessionDescription, audio_target, build_answer, build_offer, check_answer
from offhook.sip.sdp_dtls import MAX_CANDIDATES, Candidate, DtlsPort

from .messages import wire

FINGERPRINT = ":".join(["AB"] * 32)
OURS = DtlsPort(fingerprint=":".join(["01"] * 32), ufrag="ufra", password="p" * 24)

BROWSER = f"""\
v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=fingerprint:sha-256 {FINGERPRINT.lower()}
a=setup:actpass
m=audio 50000 UDP/TLS/RTP/SAVPF 111 0 8 126
c=IN IP4 0.0.0.0
a=candidate:1 1 udp 2122194687 192.0.2.7 50000 typ host generation 0 network-id 1
a=candidate:2 1 UDP 1686052607 198.51.100.9 61000 typ srflx raddr 192.0.2.7 rport 50000
a=candidate:3 1 udp 2122194687 4f2a1b7c-0000.local 50001 typ host
a=candidate:4 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active
a=candidate:5 2 udp 2122194686 192.0.2.7 50002 typ host
a=ice-ufrag:Fr4g
a=ice-pwd:0123456789abcdefghijkl
a=mid:0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:126 telephone-event/8000
a=sendrecv
"""


def parse(text: str) -> SessionDescription:
    return SessionDescription.parse(wire(text))


def attributes(description: SessionDescription) -> list[str]:
    [audio] = description.media
    return [value for kind, value in (*description.lines, *audio.lines) if kind == "a"]


def test_an_offer_of_a_browser_is_read() -> None:
    target = audio_target(parse(BROWSER))
    assert target.dtls is not None
    assert (target.dtls.fingerprint, target.dtls.is_active) == (FINGERPRINT, True)
    assert (target.dtls.ufrag, target.dtls.password) == ("Fr4g", "0123456789abcdefghijkl")
    assert target.dtls.candidates == (
        Candidate(2122194687, "192.0.2.7", 50000, "host"),
        Candidate(1686052607, "198.51.100.9", 61000, "srflx"),
    )
    assert not target.is_held, "0.0.0.0 says nothing where ICE does"


def test_our_offer_has_all_that_a_browser_wants() -> None:
    offer = build_offer("203.0.113.5", 20_000, ["PCMU"], "1", dtls=OURS)
    assert offer.media[0].protocol == "UDP/TLS/RTP/SAVPF"
    for attribute in (
        "ice-lite",
        "rtcp-mux",
        "ice-ufrag:ufra",
        f"ice-pwd:{OURS.password}",
        "candidate:1 1 udp 2130706431 203.0.113.5 20000 typ host",
        f"fingerprint:sha-256 {OURS.fingerprint}",
        "setup:actpass",
        "mid:0",
    ):
        assert attribute in attributes(offer)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
def test_our_answer_takes_the_role_that_is_left(theirs: str, ours: str) -> None:
    offer = parse(BROWSER.replace("setup:actpass", f"setup:{theirs}").replace("mid:0", "mid:audio"))
    answer = build_answer(offer, "203.0.113.5", 20_000, ["PCMU", "PCMA"], "1", dtls=OURS)
    assert {f"setup:{ours}", "mid:audio", "group:BUNDLE audio", "ice-lite"} <= set(attributes(answer))
    assert answer.media[0].formats == ("0", "8", "126")


def test_a_browser_and_a_phone_are_not_taken_for_each_other() -> None:
    with pytest.raises(RemoteMalformed) as caught:
        build_answer(parse(BROWSER), "203.0.113.5", 20_000, ["PCMU"], "1")
    assert caught.value.status == 488
    plain = build_offer("203.0.113.5", 20_000, ["PCMU"], "1")
    with pytest.raises(RemoteMalformed):
        build_answer(plain, "203.0.113.5", 20_000, ["PCMU"], "1", dtls=OURS)
    with pytest.raises(RemoteMalformed, match="profile"):
        check_answer(plain, parse(BROWSER))
    assert check_answer(build_offer("203.0.113.5", 20_000, ["PCMU"], "1", dtls=OURS), parse(BROWSER)).dtls


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (f"sha-256 {FINGERPRINT.lower()}", "sha-1 AB:AB"),
        (f"sha-256 {FINGERPRINT.lower()}", f"sha-256 {FINGERPRINT.lower()}:ab"),
        ("a=ice-ufrag:Fr4g\n", ""),
        ("a=ice-ufrag:Fr4g", "a=ice-ufrag:Fr 4g"),
        ("a=ice-pwd:0123456789abcdefghijkl", "a=ice-pwd:short"),
        ("a=ice-pwd:0123456789abcdefghijkl", "a=ice-pwd:" + "x" * 300),
        ("a=ice-pwd:0123456789abcdefghijkl", "a=ice-pwd:0123456789abcdef && D s1 x"),
    ],
)
def test_what_is_incomplete_or_could_be_a_command_to_the_relay_is_refused(what: str, instead: str) -> None:
    assert what in BROWSER
    with pytest.raises(RemoteMalformed) as caught:
        audio_target(parse(BROWSER.replace(what, instead)))
    assert caught.value.status == 488


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 udp 1 192.0.2.7 0 typ host",
        "1 1 udp 1 192.0.2.7 70000 typ host",
        "1 1 udp 99999999999 192.0.2.7 5 typ host",
        "1 1 udp 1 192.0.2 5 typ host",
        "1 1 udp 1 fe80::1%eth0 5 typ host",
        "1 1 udp 1 192.0.2.7 5 typ other",
        "1 1 udp",
    ],
)
def test_a_candidate_of_no_use_is_left_out(candidate: str) -> None:
    target = audio_target(parse(BROWSER.replace("a=mid:0", f"a=candidate:{candidate}\na=mid:0")))
    assert target.dtls is not None
    assert len(target.dtls.candidates) == 2


def test_candidates_are_bounded() -> None:
    many = "".join(f"a=candidate:1 1 udp 1 192.0.2.7 {port} typ host\n" for port in range(1_000, 1_100))
    target = audio_target(parse(BROWSER + many))
    assert target.dtls is not None
    assert len(target.dtls.candidates) == MAX_CANDIDATES
