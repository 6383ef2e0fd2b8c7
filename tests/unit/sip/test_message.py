import pytest

from offhook.sip import (
    WILDCARD,
    Headers,
    LocalHeaderInjection,
    RemoteMalformed,
    Request,
    Response,
    parse_expires,
    parse_message,
    response_to,
    serialize,
    validate_request,
    validate_response,
)
from offhook.sip.message import MAX_HEADERS, MAX_LINE_CHARS, MAX_MESSAGE_BYTES

from .messages import INVITE, given_invite, given_request, wire


def malformed(data: bytes) -> RemoteMalformed:
    with pytest.raises(RemoteMalformed) as caught:
        parse_message(data)
    return caught.value


# --- parsing ----------------------------------------------------------------------------------------


def test_invite_is_read() -> None:
    request = given_invite()
    assert (request.method, request.uri) == ("INVITE", "sip:1002@10.0.0.5:5062;transport=udp")
    assert (request.via.host, request.via.port, request.via.branch) == ("10.0.0.9", 5060, "z9hG4bK8f3c9a77d1")
    assert (request.from_.display, request.from_tag, request.to_tag) == ("Ann Example", "9fxced76sl", "")
    assert (request.cseq.number, request.cseq.method, request.max_forwards) == (1, "INVITE", 70)
    assert request.headers.get_all("Supported") == ["replaces", "timer"]
    assert request.body.startswith(b"v=0\r\n")
    assert request.content_length == len(request.body) == 126
    assert validate_request(request) == 0


def test_serialize_writes_back_what_came() -> None:
    assert serialize(given_invite()) == wire(INVITE)


def test_compact_names_are_kept_and_understood() -> None:
    request = parse_message(wire("OPTIONS sip:a SIP/2.0\nv: SIP/2.0/UDP h\ni: x\nL: 0\n\n"))
    assert request.call_id == "x"
    assert request.via.host == "h"
    assert b"\r\ni: x\r\n" in serialize(request)


def test_crlf_before_the_start_line_is_ignored() -> None:
    assert parse_message(b"\r\n\r\n" + wire(INVITE)).call_id == given_invite().call_id


def test_bytes_after_content_length_are_ignored() -> None:
    assert parse_message(wire(INVITE) + b"junk").body == given_invite().body


def test_body_reaches_the_end_without_content_length() -> None:
    text = INVITE.replace("Content-Length: 126\n", "")
    assert parse_message(wire(text)).body == given_invite().body


def test_invalid_utf8_survives() -> None:
    data = wire(INVITE).replace(b"Ann", b"\xff\xfe")
    assert serialize(parse_message(data)) == data


def test_too_short_body_is_malformed_and_answerable() -> None:
    fault = malformed(wire(INVITE)[:-1])
    assert fault.status == 400
    assert fault.request is not None
    assert response_to(fault.request, 400).call_id == given_invite().call_id


@pytest.mark.parametrize(
    ("line", "status"),
    [("-1", 400), ("1.5", 400), ("", 400), ("٣", 400), ("99999999999", 413), ("4\nContent-Length: 4", 400)],
)
def test_bad_content_length(line: str, status: int) -> None:
    assert malformed(wire(INVITE.replace("126", line))).status == status


@pytest.mark.parametrize(
    "start",
    ["", "GET / HTTP/1.1", "INVITE", "INVITE sip:a", "INVITE sip:a SIP/2", "SIP/2.0", "SIP/2.0 20 x",
     "SIP/2.0 2000", "SIP/2.0 099 x", "SIP/2.0 700 x", "SIP/2.0 -20 x", "SIP/3.0 200 OK",
     "IN<VITE sip:a SIP/2.0"],
)  # fmt: skip
def test_what_is_no_sip_cannot_be_answered(start: str) -> None:
    assert malformed(wire(f"{start}\nCall-ID: x\n\n")).request is None


@pytest.mark.parametrize("line", ["no colon", "bad name: x", ": x", "a\rb: c", "X: a\nb"])
def test_bad_header_line_is_malformed_and_answerable(line: str) -> None:
    data = wire(INVITE).replace(b"Allow: ", line.encode() + b"\r\nAllow: ")
    fault = malformed(data)
    assert (fault.status, fault.request is not None) == (400, True)


def test_nul_is_taken_in_a_quoted_pair_only() -> None:
    data = wire(INVITE).replace(b"Ann", b"\\\0")
    assert serialize(parse_message(data)) == data
    assert malformed(wire(INVITE).replace(b"Ann", b"\0")).request is None


def test_sizes_are_bounded() -> None:
    assert malformed(b"x" * (MAX_MESSAGE_BYTES + 1)).status == 513
    assert malformed(b"INVITE sip:a SIP/2.0\r\nX: " + b"x" * 40_000 + b"\r\n\r\n").status == 513
    assert malformed(wire("INVITE sip:a SIP/2.0\n" + "X: y\n" * (MAX_HEADERS + 1) + "\n")).status == 513
    assert malformed(wire("INVITE sip:a SIP/2.0\nX: " + "y" * MAX_LINE_CHARS + "\n\n")).status == 400


def test_response_is_read() -> None:
    response = parse_message(wire("SIP/2.0 486 Busy Here\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\n\n"))
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.start_line) == (
        486,
        "Busy Here",
        "SIP/2.0 486 Busy Here",
    )


def test_missing_and_repeated_headers_say_so() -> None:
    request = parse_message(wire("OPTIONS sip:a SIP/2.0\nFrom: <sip:a@b>\nFrom: <sip:a@b>\n\n"))
    with pytest.raises(RemoteMalformed, match="from: repeated"):
        _ = request.from_
    with pytest.raises(RemoteMalformed, match="call-id: missing"):
        _ = request.call_id
    with pytest.raises(RemoteMalformed, match="via: missing"):
        _ = request.via


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60", 60), ("0", 0), ("-1", 3600), ("soon", 3600), ("4294967296", 3600), (" 5 ", 5)],
)
def test_expires_that_makes_no_sense_is_an_hour(text: str, seconds: int) -> None:
    assert parse_expires(text) == seconds
    assert given_request(expires=text).expires == seconds


def test_contact_wildcard_stands_alone() -> None:
    assert given_request(contact="*").contacts == (WILDCARD,)
    assert given_request().contacts == ()
    with pytest.raises(RemoteMalformed):
        _ = given_request(contact="*, <sip:a@b>").contacts


# --- headers ----------------------------------------------------------------------------------------


def test_lists_are_split_only_where_the_grammar_has_lists() -> None:
    headers = Headers([("Route", '<sip:a;x=1,2>, "b, c" <sip:d>'), ("r", "<sip:x>"), ("Route", "<sip:e>")])
    assert headers.get_all("route") == ["<sip:a;x=1,2>", '"b, c" <sip:d>', "<sip:e>"]
    digest = 'Digest realm="a", nonce="b"'
    headers.add("Authorization", digest)
    headers.add("Date", "Tue, 04 Mar 2025 09:30:00 GMT")
    assert headers.get_all("Authorization") == [digest]
    assert headers.get_all("date") == ["Tue, 04 Mar 2025 09:30:00 GMT"]


def test_set_keeps_the_place_and_removes_others() -> None:
    headers = Headers([("A", "1"), ("f", "x"), ("B", "2"), ("From", "y")])
    headers.set("From", "z")
    assert list(headers) == [("A", "1"), ("From", "z"), ("B", "2")]
    headers.set("C", "3")
    headers.prepend("via", "v")
    headers.remove("B")
    assert list(headers) == [("via", "v"), ("A", "1"), ("From", "z"), ("C", "3")]


def test_first_element_is_replaced_or_removed() -> None:
    headers = Headers([("Route", '"a,b" <sip:a>, <sip:b>'), ("Route", "<sip:c>")])
    headers.replace_first("Route", "<sip:x>")
    assert headers.get_all("Route") == ["<sip:x>", "<sip:b>", "<sip:c>"]
    for rest in (["<sip:b>", "<sip:c>"], ["<sip:c>"], [], []):
        headers.replace_first("route", None)
        assert headers.get_all("Route") == rest


def test_change_of_a_header_is_seen_through_the_message() -> None:
    request = given_invite()
    assert request.via.received == ""
    request.headers.replace_first("Via", f"{request.via};received=192.0.2.1")
    assert request.via.received == "192.0.2.1"
    request.headers.set("t", "<sip:x@y>;tag=new")
    assert request.to_tag == "new"


def test_copy_is_independent() -> None:
    request = given_invite()
    copied = request.headers.copy()
    copied.set("Call-ID", "other")
    assert request.headers.get("Call-ID") != copied.get("Call-ID")
    assert request.headers == given_invite().headers


# --- sending ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\r\n\r\nbody"])
def test_line_break_in_a_value_is_refused(value: str) -> None:
    request = given_invite()
    request.headers.add("X-Note", value)
    with pytest.raises(LocalHeaderInjection, match="X-Note"):
        serialize(request)


def test_half_a_surrogate_pair_is_refused() -> None:
    request = given_invite()
    request.headers.add("X-Note", "\ud800")
    with pytest.raises(LocalHeaderInjection, match="ud800"):
        serialize(request)


def test_line_break_in_the_start_line_is_refused() -> None:
    with pytest.raises(LocalHeaderInjection, match="start line"):
        serialize(given_request(uri="sip:a@b SIP/2.0\r\nX: y"))
    with pytest.raises(LocalHeaderInjection, match="start line"):
        serialize(response_to(given_invite(), 400, "Bad\r\nX: y"))


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\nY", "Ü", "From: x"])
def test_name_that_is_no_token_is_refused(name: str) -> None:
    for change in (Headers().add, Headers().set, Headers().prepend):
        with pytest.raises(LocalHeaderInjection):
            change(name, "x")
    with pytest.raises(LocalHeaderInjection):
        Headers([(name, "x")])


def test_content_length_is_made_right() -> None:
    request = given_invite()
    request.body = b"1234"
    request.headers.set("l", "99")
    data = serialize(request)
    assert data.endswith(b"Content-Length: 4\r\n\r\n1234")
    assert data.lower().count(b"\r\nl: ") == 0


# --- responses --------------------------------------------------------------------------------------


def test_response_copies_what_it_must() -> None:
    request = given_invite()
    request.headers.add("Record-Route", "<sip:p1;lr>")
    request.headers.add("Timestamp", "54")
    ringing = response_to(request, 180, to_tag="t9")
    assert ringing.reason == "Ringing"
    assert (ringing.to_tag, ringing.record_route[0].uri) == ("t9", "sip:p1;lr")
    assert [name for name, _ in response_to(request, 486).headers] == ["Via", "From", "To", "Call-ID", "CSeq"]
    trying = response_to(request, 100, to_tag="t9")
    assert (trying.to_tag, trying.headers.get("Timestamp")) == ("", "54")
    assert response_to(request, 299).reason == "Unknown"


def test_response_keeps_the_tag_of_a_dialog() -> None:
    request = given_request(to="sip:1002@acme.example.com;user=phone;tag=old")
    assert response_to(request, 200, to_tag="new").to_tag == "old"
    untagged = given_request(to="sip:1002@acme.example.com;user=phone")
    assert response_to(untagged, 200, to_tag="new").to_tag == "new"


def test_response_to_a_broken_to_is_left_alone() -> None:
    request = given_request(to='"open <sip:a@b>')
    assert response_to(request, 400, to_tag="t").headers.get("To") == '"open <sip:a@b>'


# --- validation beyond RFC 4475 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 0),
        ({"max_forwards": ""}, 0),
        ({"max_forwards": "256"}, 400),
        ({"max_forwards": "x"}, 400),
        ({"via": "SIP/2.0/UDP h:0"}, 400),
        ({"via": "SIP/2.0/UDP h:70000"}, 400),
        ({"via": "SIP/2.0/UDP"}, 400),
        ({"via": "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKa;received=2001:db8::2"}, 0),
        ({"call_id": "two words"}, 400),
        ({"cseq": "1"}, 400),
        ({"cseq": "-1 OPTIONS"}, 400),
        ({"cseq": "2147483648 OPTIONS"}, 400),
        ({"cseq": "2147483647 OPTIONS"}, 0),
        ({"cseq": "1 options"}, 400),
        ({"from": "<>"}, 400),
        ({"to": "nobody"}, 400),
        ({"route": "<sip:a;lr>, nonsense"}, 400),
        ({"record_route": "<sip:a"}, 400),
        ({"contact": "<sip:a@b:port>"}, 400),
        ({"contact": "<tel:+15551234567>"}, 0),
        ({"contact": "<sips:a@b>;expires=soon"}, 0),
        ({"require": "path"}, 420),
        ({"date": "Tue, 04 Mar 2025 09:30:00 GMT"}, 0),
        ({"date": "Tue, 4 Mar 2025 09:30:00 GMT"}, 0),
        ({"date": "yesterday"}, 400),
    ],
)
def test_validation_of_headers(headers: dict[str, str], status: int) -> None:
    assert validate_request(given_request(**headers)) == status


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sip:acme.example.com", 0),
        ("SIPS:a@b", 0),
        ("sip:a@[2001:db8::1]:5061;transport=TCP", 0),
        ("tel:+15551234567", 0),
        ("http://a", 416),
        ("sip:", 400),
        ("sip:a@b@c", 400),
        ("sip:@b", 400),
        ("sip:a%4@b", 400),
        ("sip:a@b:99999", 400),
        ("no-scheme", 400),
    ],
)
def test_validation_of_the_request_uri(uri: str, status: int) -> None:
    assert validate_request(given_request(uri=uri)) == status


def test_repeated_single_header_is_refused() -> None:
    request = given_request(expires="60")
    request.headers.add("Expires", "70")
    assert validate_request(request) == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 0),
        ({"Content-Type": "APPLICATION/SDP ; charset=utf-8"}, 0),
        ({"Content-Type": "multipart/mixed;boundary=x"}, 415),
        ({"Content-Type": "text/plain", "Content-Disposition": "render; handling=optional"}, 0),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Encoding": "identity"}, 0),
        ({"Accept": ""}, 406),
        ({"Accept": "text/plain, application/*;q=0.3"}, 0),
        ({"Accept": "*/*"}, 0),
    ],
)
def test_validation_of_the_session(change: dict[str, str], status: int) -> None:
    request = given_invite()
    for name, value in change.items():
        request.headers.set(name, value)
    assert validate_request(request) == status


def test_require_means_nothing_in_ack_and_cancel() -> None:
    for method in ("ACK", "CANCEL"):
        assert validate_request(given_request(method, require="magic")) == 0


def test_response_must_have_one_via_and_a_sane_cseq() -> None:
    response = response_to(given_invite(), 200, to_tag="t")
    assert validate_response(response)
    response.headers.add("Via", "SIP/2.0/UDP other")
    assert not validate_response(response)
    assert not validate_response(response_to(given_request(cseq="x y z"), 200))


def test_request_shows_itself() -> None:
    assert repr(Request("BYE", "sip:a", Headers())) == "<Request BYE sip:a>"
    assert repr(Response(200, "OK", Headers())) == "<Response 200 OK>"
