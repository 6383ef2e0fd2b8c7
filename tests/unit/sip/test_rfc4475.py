"""The 49 cases of RFC 4475: what is taken, what is answered with which status, what is dropped."""

from collections.abc import Callable
from pathlib import Path

import pytest

from offhook.sip import (
    DigestServer,
    RemoteMalformed,
    Request,
    Response,
    SipUri,
    Verdict,
    parse_message,
    response_to,
    serialize,
    unsupported_options,
    validate_request,
    validate_response,
)
from offhook.sip.sdp import SessionDescription, audio_target

OURS = Path(__file__).parents[2] / "data" / "rfc4475"
THEIRS = Path(__file__).parents[4] / "shared" / "data" / "rfc4475"

ACCEPTED = 0
DROPPED = -1

OUTCOMES = {
    # 3.1.1 valid
    "wsinv": ACCEPTED,
    "intmeth": ACCEPTED,
    "esc01": ACCEPTED,
    "escnull": ACCEPTED,
    "esc02": ACCEPTED,
    "lwsdisp": ACCEPTED,
    "longreq": ACCEPTED,
    "dblreq": ACCEPTED,
    "semiuri": ACCEPTED,
    "transports": ACCEPTED,
    "mpart01": ACCEPTED,
    "unreason": ACCEPTED,
    "noreason": ACCEPTED,
    # 3.1.2 invalid
    "badinv01": 400,
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "scalarlg": DROPPED,
    "quotbal": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": 400,
    "trws": 400,
    "escruri": 400,
    "baddate": 400,
    "regbadct": 400,
    "badaspec": 400,
    "baddn": 400,
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 400,
    "bigcode": DROPPED,
    # 3.2 transaction layer
    "badbranch": ACCEPTED,
    # 3.3 application layer
    "insuf": 400,
    "unkscm": 416,
    "novelsc": 416,
    "unksm2": ACCEPTED,
    "bext01": 420,
    "invut": 415,
    "regaut01": ACCEPTED,
    "multi01": 400,
    "mcl01": 400,
    "bcast": DROPPED,
    "zeromf": ACCEPTED,
    "cparam01": ACCEPTED,
    "cparam02": ACCEPTED,
    "regescrt": ACCEPTED,
    "sdp01": 406,
    # 3.4 backward compatibility
    "inv2543": ACCEPTED,
}


def outcome_of(data: bytes) -> tuple[int, Request | None]:
    """Return what becomes of a datagram, and the request if there is one that can be answered."""
    try:
        message = parse_message(data)
    except RemoteMalformed as fault:
        return (fault.status if fault.request else DROPPED), fault.request
    if isinstance(message, Response):
        return (ACCEPTED if validate_response(message) else DROPPED), None
    return validate_request(message), message


def request_of(name: str) -> Request:
    message = parse_message((OURS / f"{name}.dat").read_bytes())
    assert isinstance(message, Request)
    return message


def response_of(name: str) -> Response:
    message = parse_message((OURS / f"{name}.dat").read_bytes())
    assert isinstance(message, Response)
    return message


def test_there_are_49_cases() -> None:
    assert len(OUTCOMES) == 49
    assert {path.stem for path in OURS.glob("*.dat")} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(name: str) -> None:
    assert outcome_of((OURS / f"{name}.dat").read_bytes())[0] == OUTCOMES[name]


@pytest.mark.skipif(
    not THEIRS.is_dir(),
    reason="the messages as the RFC has them are not in the repository; ours of the same names are",
)
@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome_of_the_original(name: str) -> None:
    assert outcome_of((THEIRS / f"{name}.dat").read_bytes())[0] == OUTCOMES[name]


@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if outcome >= 400])
def test_refusal_can_be_sent_and_is_a_valid_message(name: str) -> None:
    status, request = outcome_of((OURS / f"{name}.dat").read_bytes())
    assert request is not None
    answer = parse_message(serialize(response_to(request, status, to_tag="t1")))
    assert isinstance(answer, Response)
    assert answer.status == status
    for header in ("Via", "From", "Call-ID", "CSeq"):
        assert answer.headers.lines(header) == request.headers.lines(header)


@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if outcome == ACCEPTED])
def test_accepted_message_survives_being_sent_on(name: str) -> None:
    message = parse_message((OURS / f"{name}.dat").read_bytes())
    again = parse_message(serialize(message))
    assert again.body == message.body
    assert again.start_line == message.start_line
    assert [field for field in again.headers.fields() if field[0] != "content-length"] == [
        field for field in message.headers.fields() if field[0] != "content-length"
    ]


# --- what must be seen in each ----------------------------------------------------------------------


def see_wsinv() -> None:
    request = request_of("wsinv")
    assert [str(via) for via in request.vias] == [
        "SIP/2.0/UDP 198.51.100.8;branch=oldstyle1",
        "SIP/2.0/TCP core.offhook.example;branch=z9hG4bKcore",
        "SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKedge",
    ]
    assert (request.to_tag, request.from_tag, request.from_.display) == ("55aa", "ann-1", 'Ann \\"')
    assert (request.max_forwards, request.cseq.number, request.headers.get("Subject")) == (42, 11, "")
    assert request.headers.get("header-of-tomorrow") == "one two three"
    assert request.headers.get("odd-header") == ";;,,;;,;"
    assert request.route[0].uri == "sip:edge.offhook.example;lr;pet=cat;plain"
    contact = request.contacts[0]
    assert (contact.display, contact.params.get("Lately"), contact.params.get("q")) == (
        'Say ""',
        "newer",
        "0.5",
    )
    assert "ALSO" in contact.params
    assert audio_target(SessionDescription.parse(request.body)).port == 30000


def see_intmeth() -> None:
    request = request_of("intmeth")
    assert request.method == "Very!Odd-Method_0*+`.%'~"
    assert request.to.display == "TAB:\t NUL:\0 DEL:\x7f"
    assert request.from_.display == "first~` second'+_ third*%!.-"
    assert request.from_.params.get("label''~+*_!.-%") == "Größe"
    assert request.from_tag == "_t~9'+`*%!-."
    uri = SipUri.parse(request.uri)
    assert uri.user == "7_odd.URI~(if-so!)&'n+$/maybe?,/;;*"
    assert uri.password == "&p+w=9,1!pa$s_(x)"
    assert request.headers.get("odd-header-!.%*+_`'~") == "\ufeff話題"


def see_esc01() -> None:
    request = request_of("esc01")
    uri = SipUri.parse(request.uri)
    assert (uri.user, uri.host) == ("sips%3Adesk%40offhook.example", "gw.example")
    assert SipUri.parse(request.to.uri).is_equivalent(SipUri.parse("sip:desk@offhook.example"))
    contact = SipUri.parse(request.contacts[0].uri)
    assert contact.is_equivalent(SipUri.parse("sip:lobby@198.51.100.7;lr;name=val%2532"))
    assert str(contact) == "sip:l%6Fbby@198.51.100.7;%6Cr;n%61me=v%61l%25%33%32"


def see_escnull() -> None:
    first, second = (SipUri.parse(contact.uri) for contact in request_of("escnull").contacts)
    assert (first.user, second.user) == ("%00", "%00%00")
    assert not first.is_equivalent(second)


def see_esc02() -> None:
    request = request_of("esc02")
    assert request.method == "RE%47IST%45R"
    assert [contact.uri for contact in request.contacts] == ["sip:one@h1.example", "sip:three@h3.example"]
    assert request.to.display == "%A%5A"


def see_lwsdisp() -> None:
    assert (request_of("lwsdisp").from_.display, request_of("lwsdisp").from_tag) == ("lobby", "d1")


def see_longreq() -> None:
    request = request_of("longreq")
    assert len(request.vias) == 34
    assert request.via.host == "hop40.offhook.example"
    assert request.call_id == "longreq." + "long" * 60
    assert SipUri.parse(request.to.uri).port == 6000


def see_dblreq() -> None:
    request = request_of("dblreq")
    assert (request.method, request.body) == ("REGISTER", b"")


def see_semiuri() -> None:
    request = request_of("semiuri")
    assert SipUri.parse(request.uri).user == "desk;ext=7%40pbx.example"
    assert request.headers.get_all("Accept") == ["application/sdp", "text/plain", "message/sipfrag"]


def see_transports() -> None:
    seen = [via.transport for via in request_of("transports").vias]
    assert seen == ["UDP", "SCTP", "TLS", "CARRIER-PIGEON", "TCP"]


def see_mpart01() -> None:
    request = request_of("mpart01")
    assert request.content_type == "multipart/mixed"
    assert bytes(range(256)) in request.body
    assert "rport" in request.via.params
    assert request.via.rport is None


def see_unreason() -> None:
    assert response_of("unreason").reason == "= 3**2 + 1 всё хорошо"


def see_noreason() -> None:
    response = response_of("noreason")
    assert (response.status, response.reason) == (100, "")


def see_scalar02() -> None:
    request = request_of("scalar02")
    with pytest.raises(RemoteMalformed, match="cseq"):
        _ = request.cseq
    with pytest.raises(RemoteMalformed, match="max-forwards"):
        _ = request.max_forwards
    assert request.expires == 3600


def see_badbranch() -> None:
    assert not request_of("badbranch").via.has_unique_branch


def see_unksm2() -> None:
    request = request_of("unksm2")
    assert (request.to.uri, request.contacts[0].uri) == ("urn:isbn:9780131", "person:Jane_Roe")


def see_bext01() -> None:
    request = request_of("bext01")
    assert unsupported_options(request, {"neverheardof"}) == ["norOfThis"]
    assert validate_request(request, supported={"neverheardof", "norofthis"}) == ACCEPTED


def see_regaut01() -> None:
    server = DigestServer(b"secret")
    lines = request_of("regaut01").headers.lines("Authorization")
    verdict = server.verify(
        "REGISTER", lines, lambda user, algorithm: None, realm="offhook.example", now_s=1.0
    )
    assert verdict == (Verdict.MISSING, "")


def see_zeromf() -> None:
    request = request_of("zeromf")
    assert request.max_forwards == 0
    assert validate_request(request, forwards=True) == 483


def see_cparam01() -> None:
    contact = request_of("cparam01").contacts[0]
    assert (contact.uri, "mystery" in contact.params) == ("sip:+15551230000@gw.example", True)


def see_cparam02() -> None:
    contact = request_of("cparam02").contacts[0]
    assert (contact.uri, contact.params) == ("sip:+15551230000@gw.example;mystery", ())


def see_regescrt() -> None:
    uri = SipUri.parse(request_of("regescrt").contacts[0].uri)
    assert uri.headers == "Route=%3Csip:edge.example%3E"


def see_inv2543() -> None:
    request = request_of("inv2543")
    assert (request.from_tag, request.via.branch, request.max_forwards) == ("", "", None)
    assert request.body.endswith(b"H263/90000\r\n")
    assert request.record_route[0].uri == "sip:DeskB@offhook.example;maddr=ss.example"


SEEN: list[Callable[[], None]] = [
    value for name, value in sorted(globals().items()) if name.startswith("see_") and callable(value)
]


@pytest.mark.parametrize("see", SEEN, ids=lambda see: see.__name__.removeprefix("see_"))
def test_fields(see: Callable[[], None]) -> None:
    see()
