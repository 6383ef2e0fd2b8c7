"""SIP messages for tests, from lines that read like the wire."""

from offhook.sip import Headers, Request, parse_message

INVITE = """\
INVITE sip:1002@10.0.0.5:5062;transport=udp SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK8f3c9a77d1;rport
Max-Forwards: 70
From: "Ann Example" <sip:1001@acme.example.com>;tag=9fxced76sl
To: <sip:1002@acme.example.com>
Call-ID: 3848276298220188511@10.0.0.9
CSeq: 1 INVITE
Contact: <sip:1001@10.0.0.9:5060;transport=udp>
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY
Supported: replaces, timer
User-Agent: Example Phone 1.0
Content-Type: application/sdp
Content-Length: 126

v=0
o=- 20518 1 IN IP4 10.0.0.9
s=-
c=IN IP4 10.0.0.9
t=0 0
m=audio 40376 RTP/AVP 8 0
a=rtpmap:8 PCMA/8000
a=sendrecv
"""


def wire(text: str) -> bytes:
    """Return text with the line ends of SIP."""
    return text.replace("\n", "\r\n").encode()


def given_request(method: str = "OPTIONS", uri: str = "sip:1002@acme.example.com", **headers: str) -> Request:
    """Return a valid request; keyword `content_type` sets Content-Type, and "" removes a header."""
    fields = {
        "Via": "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK1",
        "Max-Forwards": "70",
        "From": "<sip:1001@acme.example.com>;tag=f1",
        "To": "<sip:1002@acme.example.com>",
        "Call-ID": "c1",
        "CSeq": f"1 {method}",
    }
    given = {name.replace("_", "-").title(): value for name, value in headers.items()}
    spelled = {name.title(): name for name in fields}
    fields |= {spelled.get(name, name): value for name, value in given.items()}
    return Request(method, uri, Headers([(name, value) for name, value in fields.items() if value]))


def given_invite() -> Request:
    """Return the INVITE above, parsed."""
    message = parse_message(wire(INVITE))
    assert isinstance(message, Request)
    return message
