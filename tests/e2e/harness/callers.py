"""What callers do, as SIPp plays them: carriers that bring a call, phones that dial."""

from collections.abc import Sequence

from .scenario import SDP, Scenario, message, pause, receive, receive_response, scenario

CALLER = "+15550001111"

ANY_CHALLENGE = '<recv response="407" auth="true"/>'


def dial(
    number: str,
    *,
    caller: str = f"sip:{CALLER}@carrier.test",
    cseq: int = 1,
    body: str = SDP,
    headers: Sequence[str] = (),
) -> str:
    """Send an INVITE for a number to the address that is called."""
    return message(
        f"INVITE sip:{number}@[remote_ip]:[remote_port] SIP/2.0",
        [
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK[call_number]x{cseq}",
            f'From: "Bob Caller" <{caller}>;tag=[pid]caller[call_number]',
            f"To: <sip:{number}@[remote_ip]:[remote_port]>",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} INVITE",
            "Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>",
            "Max-Forwards: 70",
            *headers,
        ],
        body,
        repeat=True,
    )


def in_dialog(
    method: str,
    number: str,
    *,
    cseq: int,
    body: str = "",
    caller: str = CALLER,
    headers: Sequence[str] = (),
) -> str:
    """Send ACK or BYE after a 200, or PRACK after a provisional answer that opened a dialog."""
    return message(
        f"{method} [next_url] SIP/2.0",
        [
            "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
            f'From: "Bob Caller" <sip:{caller}@carrier.test>;tag=[pid]caller[call_number]',
            f"To: <sip:{number}@[remote_ip]:[remote_port]>[peer_tag_param]",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            *headers,
        ],
        body,
        repeat=method != "ACK",
    )


def hop_by_hop(method: str, number: str, *, cseq: int = 1, tagged: bool = False) -> str:
    """Send CANCEL, or the ACK of a refusal: with the branch of the INVITE."""
    tag = "[peer_tag_param]" if tagged else ""
    return message(
        f"{method} sip:{number}@[remote_ip]:[remote_port] SIP/2.0",
        [
            f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK[call_number]x{cseq}",
            f'From: "Bob Caller" <sip:{CALLER}@carrier.test>;tag=[pid]caller[call_number]',
            f"To: <sip:{number}@[remote_ip]:[remote_port]>{tag}",
            "Call-ID: [call_id]",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ],
        "",
    )


RINGING = (receive_response(100, optional=True), receive_response(180))


def talks(number: str, *, for_ms: int = 1000) -> Scenario:
    """Dial, talk, hang up."""
    return scenario(
        "dials, talks and hangs up",
        dial(number),
        *RINGING,
        receive_response(200, opens_dialog=True),
        in_dialog("ACK", number, cseq=1),
        pause(for_ms),
        in_dialog("BYE", number, cseq=2),
        receive_response(200),
    )


def waits_for_bye(number: str, *, offer: str = SDP, answer: str = "") -> Scenario:
    """Dial, and talk until the other side hangs up; without an offer, the ACK brings an answer."""
    return scenario(
        "dials and is hung up",
        dial(number, body=offer),
        *RINGING,
        receive_response(200, opens_dialog=True),
        in_dialog("ACK", number, cseq=1, body=answer),
        receive("BYE"),
        message(
            "SIP/2.0 200 OK",
            ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"],
            "",
        ),
    )


def gives_up(number: str) -> Scenario:
    """Dial, hear that it rings, give up."""
    return scenario(
        "dials and gives up",
        dial(number),
        *RINGING,
        pause(300),
        hop_by_hop("CANCEL", number),
        '<recv response="200" optional="true"/>',
        '<recv response="487"/>',
        hop_by_hop("ACK", number, tagged=True),
    )


def is_refused(number: str, status: int, *, rings: bool = False, headers: Sequence[str] = ()) -> Scenario:
    """Dial and be refused."""
    return scenario(
        f"dials and is told {status}",
        dial(number, headers=headers),
        receive_response(100, optional=True),
        *([receive_response(180)] if rings else []),
        receive_response(status),
        hop_by_hop("ACK", number, tagged=True),
    )


def logs_in(number: str, realm: str, username: str, *, then: Sequence[str], status: int = 200) -> Scenario:
    """Dial from a realm, answer the challenge, go on."""
    caller = f"sip:{username}@{realm}"
    return scenario(
        "logs in",
        dial(number, caller=caller),
        receive_response(100, optional=True),
        ANY_CHALLENGE,
        hop_by_hop("ACK", number, tagged=True),
        dial(number, caller=caller, cseq=2, headers=["[authentication]"]),
        receive_response(100, optional=True),
        *then,
    )
