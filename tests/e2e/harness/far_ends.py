"""What parties do when they are rung, from picking up to breaking the rules."""

from typing import Final

from .scenario import (
    ANSWER,
    CHALLENGE,
    END_BY_BYE,
    END_BY_CANCEL,
    RING,
    SDP,
    Scenario,
    answer_invite,
    answer_last,
    go_to,
    hang_up,
    label,
    message,
    pause,
    receive,
    receive_invite,
    receive_response,
    refuse,
    request,
    scenario,
)

ANSWERS: Final = scenario(
    "answers and waits to be hung up", receive_invite(), RING, ANSWER, receive("ACK"), *END_BY_BYE
)
BUSY: Final = scenario("is busy", receive_invite(), *refuse(486, "Busy Here"))
DECLINES: Final = scenario("declines", receive_invite(), RING, *refuse(603, "Decline"))
UNAVAILABLE: Final = scenario(
    "is unavailable", receive_invite(), RING, *refuse(480, "Temporarily Unavailable")
)
UNKNOWN: Final = scenario("does not know the number", receive_invite(), *refuse(404, "Not Found"))
OVERLOADED: Final = scenario("is overloaded", receive_invite(), *refuse(503, "Service Unavailable"))
MOVED: Final = scenario(
    "has moved", receive_invite(), *refuse(302, "Moved Temporarily", contact="<sip:elsewhere@127.0.0.1:9>")
)
RINGS_FOR_EVER: Final = scenario("rings for ever", receive_invite(), RING, *END_BY_CANCEL)

TIMER_B_MS: Final = 32_000
TRYING_FOR_EVER: Final = scenario(
    "says that it tries, and no more", receive_invite(), answer_invite(100, "Trying"), *END_BY_CANCEL
)
SILENT: Final = scenario(
    "says nothing at all, not even to the CANCEL when it is given up",
    receive_invite(),
    receive("CANCEL", within_ms=TIMER_B_MS + 2000, otherwise="over"),
    label("over"),
)

EARLY_MEDIA: Final = scenario(
    "plays an announcement before it answers",
    receive_invite(),
    answer_invite(183, "Session Progress", body=SDP),
    pause(300),
    ANSWER,
    receive("ACK"),
    *END_BY_BYE,
)
FORKED: Final = scenario(
    "answers twice, as two phones behind a forking proxy",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    answer_invite(200, "OK", body=SDP, tag="second[call_number]"),
    receive("ACK"),
    *END_BY_BYE,
    *END_BY_BYE,
)
HANGS_UP_TWICE: Final = scenario(
    "hangs up, and once more when there is no dialog left",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    pause(300),
    hang_up(),
    receive_response(200),
    hang_up(cseq=2),
    receive_response(481),
)
NEVER_ANSWERS_BYE: Final = scenario(
    "is gone when it is hung up",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    receive("BYE"),
    pause(33_000),
)
ASKS_THINGS: Final = scenario(
    "sends requests within the dialog",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    pause(300),
    request("INVITE", cseq=1, body=SDP.replace("sendrecv", "sendonly")),
    receive_response(100, optional=True),
    receive_response(200),
    request("ACK", cseq=1),
    request("OPTIONS", cseq=2),
    receive_response(200),
    request("MESSAGE", cseq=3),
    receive_response(405),
    request("INVITE", cseq=4, body="v=0\nm=audio none\n"),
    receive_response(100, optional=True),
    receive_response(488),
    request("ACK", cseq=4),
    hang_up(cseq=5),
    receive_response(200),
)
REINVITED: Final = scenario(
    "answers, and agrees to send elsewhere",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    receive("INVITE"),
    answer_last(body=SDP),
    receive("ACK"),
    *END_BY_BYE,
)
REFUSES_REINVITE: Final = scenario(
    "answers, and does not agree to send elsewhere",
    receive_invite(),
    RING,
    ANSWER,
    receive("ACK"),
    receive("INVITE"),
    answer_last(488, "Not Acceptable Here"),
    receive("ACK"),
    *END_BY_BYE,
)
ANSWERS_AFTER_CANCEL: Final = scenario(
    "answers although it was cancelled",
    receive_invite(),
    RING,
    receive("CANCEL"),
    answer_last(),
    ANSWER,
    receive("ACK"),
    *END_BY_BYE,
)
NO_DESCRIPTION: Final = scenario(
    "answers without SDP", receive_invite(), RING, answer_invite(200, "OK"), receive("ACK"), *END_BY_BYE
)
BROKEN_DESCRIPTION: Final = scenario(
    "answers with an SDP nobody can read",
    receive_invite(),
    RING,
    answer_invite(200, "OK", body="v=0\no=?\nm=audio many RTP/AVP zero\n"),
    receive("ACK"),
    *END_BY_BYE,
)
NO_COMMON_CODEC: Final = scenario(
    "answers with a codec that was not offered",
    receive_invite(),
    RING,
    answer_invite(
        200, "OK", body=SDP.replace("RTP/AVP 0 101", "RTP/AVP 3").replace("a=rtpmap:0 PCMU", "a=rtpmap:3 GSM")
    ),
    receive("ACK"),
    *END_BY_BYE,
)
BROKEN_ANSWER: Final = scenario(
    "answers with a message that is no SIP response",
    receive_invite(),
    RING,
    message("SIP/2.0 200 OK", ["Via:[$via]", "From:[$from]", "[last_Call-ID:]", "CSeq: many INVITE"], SDP),
    *END_BY_CANCEL,
)


def refuses(status: int, reason: str = "Refused") -> Scenario:
    """Refuses with any status."""
    return scenario(f"refuses with {status}", receive_invite(), *refuse(status, reason))


def answers_and_hangs_up(after_ms: int = 0) -> Scenario:
    """Picks up, and puts the phone down after a while."""
    talk = (pause(after_ms),) if after_ms else ()
    return scenario(
        f"answers and hangs up after {after_ms} ms",
        receive_invite(),
        RING,
        ANSWER,
        receive("ACK"),
        *talk,
        hang_up(),
        receive_response(200),
    )


def answers_after(ring_ms: int) -> Scenario:
    """Picks up after a while; a CANCEL may come before that, or cross the answer."""
    return scenario(
        f"answers after {ring_ms} ms",
        receive_invite(),
        RING,
        # SIPp takes the time limit from the first of these; "global" covers the instant after it is up
        receive("CANCEL", optional="global", within_ms=ring_ms, otherwise="pick_up", then="cancelled"),
        receive("CANCEL", then="cancelled"),
        label("pick_up"),
        ANSWER,
        receive("CANCEL", optional="true", then="crossed"),
        receive("ACK", then="talking"),
        label("crossed"),
        answer_last(),
        receive("ACK", within_ms=700, otherwise="again", then="talking"),
        label("again"),  # SIPp stops repeating its 200 when a CANCEL comes; phones do not
        ANSWER,
        receive("ACK"),
        label("talking"),
        *END_BY_BYE,
        go_to("over"),
        label("cancelled"),
        answer_last(),
        answer_invite(487, "Request Terminated"),
        receive("ACK"),
        label("over"),
    )


def hangs_up_while_hung_up(after_ms: int) -> Scenario:
    """Picks up at once and puts the phone down after a while; a BYE may come before that, or cross it."""
    said_481 = '<recv response="481" optional="true" next="over"/>'
    return scenario(
        f"hangs up after {after_ms} ms unless it is hung up",
        receive_invite(),
        RING,
        receive("CANCEL", optional="global", within_ms=1, otherwise="pick_up", then="cancelled"),
        receive("CANCEL", then="cancelled"),
        label("pick_up"),
        ANSWER,
        receive("CANCEL", optional="true", then="crossed_answer"),
        receive("ACK", then="talking"),
        label("crossed_answer"),
        answer_last(),
        receive("ACK"),
        label("talking"),
        receive("BYE", optional="global", within_ms=after_ms, otherwise="hang_up", then="hung_up"),
        receive("BYE", then="hung_up"),
        label("hang_up"),
        hang_up(),
        receive("BYE", optional="true", then="crossed"),
        said_481,
        receive_response(200),
        go_to("over"),
        label("crossed"),
        answer_last(),
        said_481,
        receive_response(200),
        go_to("over"),
        label("cancelled"),
        answer_last(),
        answer_invite(487, "Request Terminated"),
        receive("ACK"),
        go_to("over"),
        label("hung_up"),
        answer_last(),
        label("over"),
    )


LIVES_THROUGH_CRASHES: Final = scenario(
    "answers after a while, and meets a server that dies at any instant and comes back",
    # of a leg that is over here, or never was: the server's successor cannot know
    receive("CANCEL", optional="true", then="unknown"),
    receive("BYE", optional="true", then="unknown"),
    receive("ACK", optional="true", then="acknowledged"),
    receive_invite(),
    RING,
    receive("CANCEL", optional="global", within_ms=60, otherwise="pick_up", then="cancelled"),
    receive("CANCEL", then="cancelled"),
    label("pick_up"),
    ANSWER,
    receive("CANCEL", optional="true", then="crossed"),
    receive("ACK", then="talking"),
    label("crossed"),
    answer_last(),
    receive("CANCEL", optional="true", within_ms=500, otherwise="repeat", then="crossed"),
    receive("ACK", then="talking"),
    label("repeat"),
    ANSWER,  # SIPp itself repeats only what it sent last
    receive("CANCEL", optional="true", then="crossed"),
    receive("ACK"),
    label("talking"),
    *END_BY_BYE,
    go_to("over"),
    label("cancelled"),
    answer_last(),
    answer_invite(487, "Request Terminated"),
    receive("ACK"),
    go_to("over"),
    label("acknowledged"),
    receive("BYE"),
    label("unknown"),
    answer_last(481, "Call/Transaction Does Not Exist"),
    label("over"),
)
"""Demands an end of every leg it answered, by BYE after ACK, or by CANCEL before."""


def gateway(*, username: str, password: str, realm: str = "trunk.test") -> Scenario:
    """A carrier that takes calls only with these digest credentials, and asks again when they are wrong."""
    challenge = refuse(401, "Unauthorized", headers=("WWW-Authenticate: " + CHALLENGE.format(realm=realm),))
    verify = f'<verifyauth assign_to="is_known" username="{username}" password="{password}"/>'
    return scenario(
        "is a carrier with digest",
        receive_invite(),
        *challenge,
        receive_invite(actions=verify),
        go_to("known", when="is_known"),
        *challenge,
        go_to("over"),
        label("known"),
        RING,
        ANSWER,
        receive("ACK"),
        *END_BY_BYE,
        label("over"),
    )


def proxy(*, realm: str = "proxy.test") -> Scenario:
    """A carrier behind a proxy that challenges; the test checks the credentials."""
    header = "Proxy-Authenticate: " + CHALLENGE.format(realm=realm)
    return scenario(
        "is a carrier behind a proxy",
        receive_invite(),
        *refuse(407, "Proxy Authentication Required", headers=(header,)),
        receive_invite(),
        RING,
        ANSWER,
        receive("ACK"),
        *END_BY_BYE,
    )
