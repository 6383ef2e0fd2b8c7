import pytest

from offhook.sip import CSeq, NameAddr, Parameters, RemoteMalformed, Via
from offhook.sip.grammar import is_token, parse_digits, quote, split_outside, unquote


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ("<sip:a@b>", "", "sip:a@b", ""),
        ('"Ann" <sip:a@b>;tag=1', "Ann", "sip:a@b", ";tag=1"),
        ("Ann Example <sip:a@b>", "Ann Example", "sip:a@b", ""),
        ("Zoë <sip:a@b>", "Zoë", "sip:a@b", ""),
        ('"a \\"b\\" \\\\ <c>, ;d" <sip:a@b>', 'a "b" \\ <c>, ;d', "sip:a@b", ""),
        ('""<sip:a@b>', "", "sip:a@b", ""),
        ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
        ("  <sip:a@b;x=1;lr>  ;  tag = 1 ; q=0.5;ob", "", "sip:a@b;x=1;lr", ";tag=1;q=0.5;ob"),
        ('<sip:a@b>;+sip.instance="<urn:uuid:1;2>"', "", "sip:a@b", ';+sip.instance="<urn:uuid:1;2>"'),
        ("<tel:+1555;phone-context=x>", "", "tel:+1555;phone-context=x", ""),
        ("<sip:a,b@c?x=y>", "", "sip:a,b@c?x=y", ""),
    ],
)
def test_name_addr(text: str, display: str, uri: str, params: str) -> None:
    address = NameAddr.parse(text)
    assert (address.display, address.uri, str(address.params)) == (display, uri, params)
    assert NameAddr.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "<>", "sip:", "<sip:a@b", "sip:a@b>", '"x <sip:a@b>', "a, b <sip:a@b>", '"a" b <sip:a@b>',
     "<sip:a b>",
     "<sip:a@b> tag=1", "<sip:a@b>;", "<sip:a@b>;;", "<sip:a@b>;=1", '<sip:a@b>;x="1', '<sip:a@b>;x="1"2',
     "<sip:a@b>;x=1 2", "sip:a,b@c", "sip:a@b?c=d", "<sip:a@b><sip:c@d>", "<sip:a\x07@b>", "*"],
)  # fmt: skip
def test_bad_name_addr(text: str) -> None:
    with pytest.raises(RemoteMalformed, match=r"^From: "):
        NameAddr.parse(text, "From")


@pytest.mark.parametrize(
    "text",
    [
        "SIP/2.0/UDP h",
        "SIP/2.0/TCP h:5060;branch=z9hG4bKx;rport",
        "SIP/2.0/tls [::1]:5061;received=2001:db8::1;x",
        'SIP/2.0/WS abc.invalid;branch=z9hG4bKx;alias="a;b"',
    ],
)
def test_via_round_trip(text: str) -> None:
    assert str(Via.parse(text)) == text


def test_via_fields() -> None:
    via = Via.parse("sip / 2.0 / UDP   h : 5060 ; Branch = z9hG4bKx ; received=192.0.2.1;RPORT=4000")
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "h", 5060, "z9hG4bKx")
    assert (via.received, via.rport, via.sent_by, via.has_unique_branch) == (
        "192.0.2.1",
        4000,
        "h:5060",
        True,
    )
    assert Via.parse("SIP/2.0/UDP h;rport").rport is None
    assert not Via.parse("SIP/2.0/UDP h;branch=1").has_unique_branch


@pytest.mark.parametrize(
    "text", ["", "SIP/2.0/UDP", "SIP/2.0 UDP h", "SIP/7.0/UDP h", "SIP/2.0/UDP h:", "SIP/2.0/UDP h:65536",
    "h", "//  h",
             "SIP/2.0/UDP h:-1", "SIP/2.0/UDP h:0", "SIP/2.0/UDP [::1", "SIP/2.0/UDP a b",
             "SIP/2.0/UDP h;a=b c"]
)  # fmt: skip
def test_bad_via(text: str) -> None:
    with pytest.raises(RemoteMalformed):
        Via.parse(text)


def test_parameters_keep_order_and_case() -> None:
    params = Parameters.parse(';Tag=AbC;lr;X="q;\\"z";empty=', "h")
    assert params.pairs() == [("Tag", "AbC"), ("lr", None), ("X", '"q;\\"z"'), ("empty", "")]
    assert (params.get("TAG"), params.get("LR"), params.get("x"), params.get("no", "?")) == (
        "AbC",
        "",
        'q;"z',
        "?",
    )
    assert "lr" in params
    assert "tag" in params
    assert "AbC" not in params
    assert str(params) == ';Tag=AbC;lr;X="q;\\"z";empty='
    assert str(params.with_("tag", "new").with_("ob").without("x")) == ";tag=new;lr;empty=;ob"


def test_cseq() -> None:
    assert CSeq.parse("0009 \t INVITE") == CSeq(9, "INVITE")
    assert str(CSeq(9, "INVITE")) == "9 INVITE"
    for text in (
        "",
        "INVITE",
        "1",
        "x INVITE",
        "1 IN VITE",
        "1 IN<",
        "2147483648 A",
        "99999999999999 A",
        "²  A",
    ):
        with pytest.raises(RemoteMalformed):
            CSeq.parse(text)


def test_split_outside() -> None:
    assert split_outside("a,b", ",") == ["a", "b"]
    assert split_outside('"a,\\",b",<c,d>;e,f', ",") == ['"a,\\",b"', "<c,d>;e", "f"]
    assert split_outside('<a;"b">;c', ";") == ['<a;"b">', "c"]
    assert split_outside('"never, closed', ",") == ['"never, closed']


def test_digits_quotes_and_tokens() -> None:
    assert [parse_digits(text, 10) for text in ("0010", "11", "", "-1", "+1", "1 ", "٣")] == [10] + [None] * 6
    assert parse_digits("9" * 100_000, 10) is None
    for text in ("", "plain", 'a "b" \\ c'):
        assert unquote(quote(text)) == text
    assert (unquote('"'), unquote("x"), unquote('"x')) == ('"', "x", '"x')
    assert is_token("a-.!%*_+`'~9")
    assert not any(is_token(text) for text in ("", "a b", "a:", "é"))
