"""SIPp scenarios in the words of a call: what a far end receives, answers, and demands.

A scenario is a list of steps; SIPp fails the call when anything else arrives, so "the scenario ended
well" means that our side sent exactly what it should, to the last BYE.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

TAG: Final = "[pid]far[call_number]"

SDP: Final = """\
v=0
o=far 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio [audio_port] RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=sendrecv
"""
"""[audio_port] is SIPp's own port or that of an RtpEndpoint."""

CHALLENGE: Final = 'Digest realm="{realm}", nonce="2a7be8fe0c", algorithm=MD5, qop="auth"'

_REMEMBERED: Final = {"via": "Via:", "from": "From:", "to": "To:", "cseq": "CSeq:"}
"""Header fields of the INVITE that its final answer needs even when a CANCEL came between."""

_PROLOGUE: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_ASSIGNED: Final = re.compile(r'assign_to="(\w+)"')


@dataclass(frozen=True)
class Scenario:
    """What a far end does with one call."""

    name: str
    steps: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """Write the XML that SIPp reads; return its path."""
        path = folder / "scenario.xml"
        body = "\n".join((*self.steps, *self._references()))
        path.write_text(f"{_PROLOGUE}\n<scenario name={quoteattr(self.name)}>\n{body}\n</scenario>\n")
        return path

    def _references(self) -> tuple[str, ...]:
        """SIPp refuses a scenario that sets a variable and never reads it."""
        names = sorted(set(_ASSIGNED.findall("".join(self.steps))))
        return (f'<Reference variables="{",".join(names)}"/>',) if names else ()


def scenario(name: str, *steps: str) -> Scenario:
    """Return a scenario; a short wait at the end answers what our side repeats."""
    return Scenario(name, (*steps, '<timewait milliseconds="300"/>'))


# --- receiving --------------------------------------------------------------------------------------


def receive(
    request: str,
    *,
    within_ms: int = 0,
    otherwise: str = "",
    optional: str = "",
    then: str = "",
    actions: str = "",
) -> str:
    """Wait for a request; if it does not come within the time, go on at the label `otherwise`.

    optional is "true" for one that may come before the next awaited one, "global" for one that may come
    at any later time.
    """
    attributes = [f'request="{request}"']
    if request == "INVITE":
        attributes.append('rrs="true"')  # keeps its Contact as [next_url]; fails on a message without one
    if within_ms:
        attributes.append(f'timeout="{within_ms}" ontimeout="{otherwise}"')
    if optional:
        attributes.append(f'optional="{optional}"')
    if then:
        attributes.append(f'next="{then}"')
    return f"<recv {' '.join(attributes)}><action>{actions}</action></recv>"


def receive_invite(*, actions: str = "") -> str:
    """Wait for the INVITE and keep what answers to it need."""
    remember = "".join(
        f'<ereg regexp=".*" search_in="hdr" header="{header}" assign_to="{name}"/>'
        for name, header in _REMEMBERED.items()
    )
    return receive("INVITE", actions=remember + actions)


def receive_response(status: int, *, optional: bool = False, opens_dialog: bool = False) -> str:
    """Wait for a response to our own request; one that opens a dialog gives [next_url]."""
    flags = {"optional": optional, "rrs": opens_dialog}
    attributes = "".join(f' {name}="true"' for name, on in flags.items() if on)
    return f'<recv response="{status}"{attributes}/>'


# --- sending ----------------------------------------------------------------------------------------


def message(
    start: str,
    headers: Sequence[str],
    body: str,
    *,
    repeat: bool = False,
    content_type: str = "application/sdp",
) -> str:
    """Return a send step; a final answer to an INVITE is repeated until the next step's message arrives."""
    lines = [start, *headers]
    if body:
        lines.append(f"Content-Type: {content_type}")
    text = "\n".join([*lines, "Content-Length: [len]", "", body.rstrip("\n")])
    indented = "\n".join(f"      {line}" if line else "" for line in text.split("\n"))
    attributes = ' retrans="500"' if repeat else ""
    return f"<send{attributes}><![CDATA[\n\n{indented}\n\n]]></send>"


def answer_invite(
    status: int,
    reason: str,
    *,
    body: str = "",
    headers: Sequence[str] = (),
    contact: str = "",
    tag: str = TAG,
) -> str:
    """Answer the INVITE, whatever was received since. Another tag makes it another branch of a fork."""
    contact = contact or "<sip:far@[local_ip]:[local_port];transport=[transport]>"
    return message(
        f"SIP/2.0 {status} {reason}",
        [
            "Via:[$via]",
            "From:[$from]",
            f"To:[$to];tag={tag}",
            "[last_Call-ID:]",
            "CSeq:[$cseq]",
            f"Contact: {contact}",
            *headers,
        ],
        body,
        repeat=status >= 200,
    )


def answer_last(status: int = 200, reason: str = "OK", *, headers: Sequence[str] = (), body: str = "") -> str:
    """Answer the request received last: BYE, CANCEL, or an INVITE within the dialog."""
    fixed = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    contact = "Contact: <sip:far@[local_ip]:[local_port];transport=[transport]>"
    return message(f"SIP/2.0 {status} {reason}", [*fixed, contact, *headers], body)


def request(
    method: str,
    *,
    cseq: int,
    body: str = "",
    headers: Sequence[str] = (),
    content_type: str = "application/sdp",
) -> str:
    """Send a request in the dialog that the INVITE opened."""
    return message(
        f"{method} [next_url] SIP/2.0",
        [
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
            f"From:[$to];tag={TAG}",
            "To:[$from]",
            "[last_Call-ID:]",
            f"CSeq: {cseq} {method}",
            "Contact: <sip:far@[local_ip]:[local_port];transport=[transport]>",
            "Max-Forwards: 70",
            *headers,
        ],
        body,
        repeat=method != "ACK",
        content_type=content_type,
    )


def hang_up(*, cseq: int = 1) -> str:
    """Send BYE in the dialog that the INVITE opened."""
    return request("BYE", cseq=cseq)


def pause(milliseconds: int) -> str:
    """Do nothing for a while."""
    return f'<pause milliseconds="{milliseconds}"/>'


def label(name: str) -> str:
    """Name a place to go on at."""
    return f'<label id="{name}"/>'


def go_to(name: str, *, when: str = "") -> str:
    """Go on at a label, always or when a variable is set."""
    return f'<nop next="{name}"' + (f' test="{when}"' if when else "") + "/>"


# --- the usual sequences ----------------------------------------------------------------------------

RING: Final = answer_invite(180, "Ringing")
ANSWER: Final = answer_invite(200, "OK", body=SDP)
END_BY_BYE: Final = (receive("BYE"), answer_last())
END_BY_CANCEL: Final = (
    receive("CANCEL"),
    answer_last(),
    answer_invite(487, "Request Terminated"),
    receive("ACK"),
)


def refuse(status: int, reason: str, *, headers: Sequence[str] = (), contact: str = "") -> tuple[str, str]:
    """Refuse the INVITE."""
    return (answer_invite(status, reason, headers=headers, contact=contact), receive("ACK"))
