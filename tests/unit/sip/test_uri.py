import pytest

from offhook.sip import RemoteMalformed, SipUri
from offhook.sip.uri import scheme_of


@pytest.mark.parametrize(
    "text",
    [
        "sip:example.com",
        "sip:1001@acme.example.com",
        "sip:+15551234567@gw.example.com:5080;user=phone;transport=TCP",
        "sips:a:secret@[2001:db8::1]:5061;lr;x=%41?subject=a%20b&to=c",
        "sip:a;b=c/d?e@h;maddr=192.0.2.1",
        "sip:%00@h",
        "sip:a:@h",
        "sip:x@abc.invalid;transport=ws;ob",
        "sip:*67#@h",
        "sip:h:5060",
    ],
)
def test_round_trip(text: str) -> None:
    assert str(SipUri.parse(text)) == text


def test_parts() -> None:
    uri = SipUri.parse("SIP:Ann:pw@Host.Example:5070;Transport=TLS;lr?a=b")
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == (
        "sip",
        "Ann",
        "pw",
        "Host.Example",
        5070,
    )
    assert (uri.transport, "LR" in uri.params, uri.headers) == ("tls", True, "a=b")
    assert uri.host_port == "Host.Example:5070"
    assert uri.address_of_record == "sip:Ann@host.example"
    assert SipUri.parse("sip:%61nn%2f@H;x=1").address_of_record == "sip:ann%2F@h"
    assert SipUri.parse("sip:H").address_of_record == "sip:h"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400), ("a@b", 400), (":a@b", 400), ("tel:+1", 416), ("sip:", 400), ("sip:@h", 400),
        ("sip::p@h", 400),
        ("sip:a@", 400), ("sip:a@b@c", 400), ("sip:a b@c", 400), ("sip:a@b c", 400), ("sip:a@h:", 400),
        ("sip:a@h:0", 400), ("sip:a@h:65536", 400), ("sip:a@[::1", 400), ("sip:a@h;", 400), ("sip:a@h;=1",
        400),
        ("sip:a@h?", 400), ("sip:a@h?x", 400), ("sip:%zz@h", 400), ("sip:%4", 400), ("sip:é@h", 400),
        ("sip:a@h;p=<>", 400), ("sip:a\r\n@h", 400),
    ],
)  # fmt: skip
def test_bad_uri(text: str, status: int) -> None:
    with pytest.raises(RemoteMalformed) as caught:
        SipUri.parse(text)
    assert caught.value.status == status


EQUIVALENT = [
    ("sip:%61lice@atlanta.example;transport=TCP", "sip:alice@AtLanTa.example;Transport=tcp"),
    ("sip:carol@chicago.example", "sip:carol@chicago.example;newparam=5"),
    ("sip:carol@chicago.example", "sip:carol@chicago.example;security=on"),
    (
        "sip:b.example;transport=tcp;method=REGISTER?to=sip:b%40c",
        "sip:b.example;method=REGISTER;transport=tcp?to=sip:b%40c",
    ),
    ("sip:a@b.example?subject=x&priority=urgent", "sip:a@b.example?priority=urgent&subject=x"),
    ("sip:a%2fb@h", "sip:a%2Fb@h"),
]
DIFFERENT = [
    ("SIP:ALICE@AtLanTa.example;Transport=udp", "sip:alice@AtLanTa.example;Transport=UDP"),
    ("sip:bob@biloxi.example", "sip:bob@biloxi.example:5060"),
    ("sip:bob@biloxi.example", "sip:bob@biloxi.example;transport=udp"),
    ("sip:bob@biloxi.example", "sip:bob@biloxi.example:6000;transport=tcp"),
    ("sip:carol@chicago.example", "sip:carol@chicago.example?Subject=next%20meeting"),
    ("sip:bob@phone21.example", "sip:bob@192.0.2.4"),
    ("sip:a@h;security=on", "sip:a@h;security=off"),
    ("sip:a@h", "sips:a@h"),
    ("sip:a@h", "sip:a:@h"),
    ("sip:a@h;user=phone", "sip:a@h"),
    ("sip:a%2Fb@h", "sip:a/b@h"),
]


@pytest.mark.parametrize(("left", "right"), EQUIVALENT)
def test_equivalent(left: str, right: str) -> None:
    assert SipUri.parse(left).is_equivalent(SipUri.parse(right))
    assert SipUri.parse(right).is_equivalent(SipUri.parse(left))


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different(left: str, right: str) -> None:
    assert not SipUri.parse(left).is_equivalent(SipUri.parse(right))
    assert not SipUri.parse(right).is_equivalent(SipUri.parse(left))


def test_with_params() -> None:
    uri = SipUri.parse("sip:a@h;lr;x=1")
    assert str(uri.with_params(transport="tcp", lr=None, ob="")) == "sip:a@h;x=1;transport=tcp;ob"


def test_scheme() -> None:
    assert [scheme_of(text) for text in ("SIP:a", "a.b+c-1:x", "1a:b", "none", "")] == [
        "sip",
        "a.b+c-1",
        "",
        "",
        "",
    ]
