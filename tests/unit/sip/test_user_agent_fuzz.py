"""Whatever a peer sends, in any state of a call: the core does not raise, and nothing is left in the end."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offhook.sip.config import DEFAULT_ALLOW
from offhook.sip.events import InviteAnswered, RequestReceived
from offhook.sip.flows import Flow
from offhook.sip.message import Request

from .peers import SDP, THEM, US, Wire, invite_to, make_core

MESSAGES = (
    "INVITE sip:alice@192.0.2.1 SIP/2.0",
    "BYE sip:alice@192.0.2.1 SIP/2.0",
    "ACK sip:alice@192.0.2.1 SIP/2.0",
    "CANCEL sip:alice@192.0.2.1 SIP/2.0",
    "INFO sip:alice@192.0.2.1 SIP/2.0",
    "UPDATE sip:alice@192.0.2.1 SIP/2.0",
    "PRACK sip:alice@192.0.2.1 SIP/2.0",
    "REGISTER sip:example.com SIP/2.0",
    "SIP/2.0 100 Trying",
    "SIP/2.0 183 Session Progress",
    "SIP/2.0 200 OK",
    "SIP/2.0 401 Unauthorized",
    "SIP/2.0 422 Session Interval Too Small",
    "SIP/2.0 486 Busy Here",
    "SIP/2.0 491 Request Pending",
)
VALUES = (
    "",
    "*",
    ";;;",
    "<",
    '"',
    "sip:",
    "<sip:a@b>;tag=",
    "<sip:bob@192.0.2.2>;tag=them;tag=two",
    "<tel:+1>",
    "4294967296 INVITE",
    "1 BYE",
    "SIP/2.0/UDP 192.0.2.2:99999;branch=z9hG4bK1",
    "SIP/2.0/TLS [::1];branch=z9hG4bK",
    "99999999999",
    "-1",
    'Digest realm="x", nonce="y", algorithm=MD5-sess, qop="auth-int"',
    "Digest nonce=",
    "\u00e9\u4e16",
    "<sip:192.0.2.9;lr>, <sip:[2001:db8::1]:70000>",
    "100rel",
    "100rel, timer",
    "4711",
    "1 1 INVITE",
    "90;refresher=uac",
    "90;refresher=uas",
    "7200",
)
NAMES = (
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Record-Route",
    "Route",
    "Max-Forwards",
    "Content-Length",
    "Content-Type",
    "WWW-Authenticate",
    "Require",
    "Expires",
    "Retry-After",
    "Supported",
    "RSeq",
    "RAck",
    "Session-Expires",
    "Min-SE",
    "Allow",
    "Authentication-Info",
)

changes = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3)
script = st.lists(
    st.tuples(st.sampled_from(MESSAGES), st.integers(0, 3), changes, st.sampled_from((0.0, 0.5, 5.0, 40.0))),
    max_size=8,
)


def given_call(stage: int, *, password: str = "pa55") -> Wire:
    """Return a core with one call of its own: sent, ringing, answered, or ending."""
    wire = Wire(allow=(*DEFAULT_ALLOW, "REGISTER"), session_expires_s=1800)
    wire.core.invite(invite_to(username="trunk", password=password, call_id="fuzz"), wire.now)
    wire.settle()
    if stage > 0:
        wire.answer(wire.last("INVITE"), 180)
    if stage > 1:
        wire.answer(wire.last("INVITE"), 200, body="v=0\r\n")
        wire.core.send_ack(wire.one(InviteAnswered).dialog, b"", wire.now)
    if stage > 2:
        wire.core.bye(wire.one(InviteAnswered).dialog, wire.now)
    wire.settle()
    return wire


def message_for(wire: Wire, start: str, cseq: int, changed: list[tuple[str, str]]) -> bytes:
    """Return a message that belongs to the call, but for what was changed."""
    invite = wire.requests("INVITE")[0]
    sent = [message for message in wire.sent if isinstance(message, Request)]
    is_response = start.startswith("SIP/2.0 ")
    ours, theirs = f"<sip:alice@example.com>;tag={invite.from_tag}", "<sip:bob@example.com>;tag=them"
    last = sent[-1]
    fields = {
        "Via": last.headers.get("Via") or ""
        if is_response
        else f"SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKf{cseq}",
        "From": ours if is_response else theirs,
        "To": theirs if is_response else ours,
        "Call-ID": "fuzz",
        "CSeq": (last.headers.get("CSeq") or "") if is_response else f"{cseq} {start.split()[0]}",
        "Contact": "<sip:bob@192.0.2.2>",
        "Max-Forwards": "70",
        **dict(changed),
    }
    return "\r\n".join([start, *[f"{name}: {value}" for name, value in fields.items()], "", ""]).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 3), script)
def test_no_peer_can_make_the_core_raise_or_leak(
    stage: int, steps: list[tuple[str, int, list[tuple[str, str]], float]]
) -> None:
    wire = given_call(stage)
    for start, cseq, changed, pause in steps:
        wire.receive(message_for(wire, start, cseq, changed))
        for event in wire.seen(RequestReceived):
            if event.request.method == "INVITE":
                wire.core.respond(event.transaction, 183, body=SDP, now=wire.now)
            wire.core.respond(event.transaction, 200, body=SDP, now=wire.now)
        wire.wait(pause)
    for answered in wire.seen(InviteAnswered):
        wire.core.bye(answered.dialog, wire.now)
    wire.wait(700)
    for dialog in list(wire.core._state.dialogs.values()):  # dialogs that the peer has made
        wire.core.bye(dialog, wire.now)
    wire.wait(100)
    assert wire.core.is_idle
    assert wire.core.timer_count == 0


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 600), st.binary(max_size=40))
def test_no_bytes_can_make_the_core_raise(garbage: bytes, at: int, inserted: bytes) -> None:
    wire = given_call(1)
    wire.receive(garbage)
    valid = message_for(wire, "SIP/2.0 200 OK", 1, [])
    wire.receive(valid[:at] + inserted + valid[at:])
    core = make_core(THEM)
    core.receive_message(garbage, Flow("udp", THEM, US), 0.0)
    assert core.dialog_count == 0
