"""Hangup causes and what they mean: KAZOO's words, SIP codes, outcomes, blame.

Source: the table of KAZOO's kz_call_response and FreeSWITCH's sofia, after RFC 4497.
"""

from collections.abc import Iterable
from typing import Final

from .model import By, EndpointKind, Leg, Outcome, Side

Q850: Final[dict[str, int]] = {
    "UNALLOCATED_NUMBER": 1,
    "NO_ROUTE_TRANSIT_NET": 2,
    "NO_ROUTE_DESTINATION": 3,
    "NORMAL_CLEARING": 16,
    "USER_BUSY": 17,
    "NO_USER_RESPONSE": 18,
    "NO_ANSWER": 19,
    "SUBSCRIBER_ABSENT": 20,
    "CALL_REJECTED": 21,
    "NUMBER_CHANGED": 22,
    "REDIRECTION_TO_NEW_DESTINATION": 23,
    "EXCHANGE_ROUTING_ERROR": 25,
    "DESTINATION_OUT_OF_ORDER": 27,
    "INVALID_NUMBER_FORMAT": 28,
    "FACILITY_REJECTED": 29,
    "NORMAL_UNSPECIFIED": 31,
    "NORMAL_CIRCUIT_CONGESTION": 34,
    "NETWORK_OUT_OF_ORDER": 38,
    "NORMAL_TEMPORARY_FAILURE": 41,
    "SWITCH_CONGESTION": 42,
    "REQUESTED_CHAN_UNAVAIL": 44,
    "OUTGOING_CALL_BARRED": 52,
    "INCOMING_CALL_BARRED": 54,
    "BEARERCAPABILITY_NOTAUTH": 57,
    "BEARERCAPABILITY_NOTAVAIL": 58,
    "SERVICE_UNAVAILABLE": 63,
    "BEARERCAPABILITY_NOTIMPL": 65,
    "FACILITY_NOT_IMPLEMENTED": 69,
    "SERVICE_NOT_IMPLEMENTED": 79,
    "INCOMPATIBLE_DESTINATION": 88,
    "MANDATORY_IE_MISSING": 96,
    "RECOVERY_ON_TIMER_EXPIRE": 102,
    "INTERWORKING": 127,
}
"""Q.850 numbers of the causes that have one; FreeSWITCH's private ones have none on the wire."""

_CAUSE_OF_SIP: Final[dict[int, str]] = {
    200: "NORMAL_CLEARING",
    300: "REDIRECTION_TO_NEW_DESTINATION",
    301: "REDIRECTION_TO_NEW_DESTINATION",
    302: "REDIRECTION_TO_NEW_DESTINATION",
    305: "REDIRECTION_TO_NEW_DESTINATION",
    380: "REDIRECTION_TO_NEW_DESTINATION",
    400: "NORMAL_TEMPORARY_FAILURE",
    401: "CALL_REJECTED",
    402: "CALL_REJECTED",
    403: "CALL_REJECTED",
    404: "UNALLOCATED_NUMBER",
    405: "SERVICE_UNAVAILABLE",
    406: "SERVICE_NOT_IMPLEMENTED",
    407: "CALL_REJECTED",
    408: "RECOVERY_ON_TIMER_EXPIRE",
    410: "NUMBER_CHANGED",
    415: "SERVICE_NOT_IMPLEMENTED",
    480: "NO_USER_RESPONSE",
    481: "NORMAL_TEMPORARY_FAILURE",
    482: "EXCHANGE_ROUTING_ERROR",
    483: "EXCHANGE_ROUTING_ERROR",
    484: "INVALID_NUMBER_FORMAT",
    485: "NO_ROUTE_DESTINATION",
    486: "USER_BUSY",
    487: "ORIGINATOR_CANCEL",
    488: "INCOMPATIBLE_DESTINATION",
    500: "NORMAL_TEMPORARY_FAILURE",
    501: "SERVICE_NOT_IMPLEMENTED",
    502: "NETWORK_OUT_OF_ORDER",
    503: "NORMAL_TEMPORARY_FAILURE",
    504: "RECOVERY_ON_TIMER_EXPIRE",
    505: "INTERWORKING",
    513: "INTERWORKING",
    600: "USER_BUSY",
    603: "CALL_REJECTED",
    604: "NO_ROUTE_DESTINATION",
    606: "INCOMPATIBLE_DESTINATION",
} | {code: "INTERWORKING" for code in range(413, 424) if code != 415}

_REFUSAL_OF_CAUSE: Final[dict[str, int]] = {
    "UNALLOCATED_NUMBER": 404,
    "NO_ROUTE_TRANSIT_NET": 404,
    "NO_ROUTE_DESTINATION": 404,
    "USER_BUSY": 486,
    "CALL_REJECTED": 603,
    "NUMBER_CHANGED": 410,
    "DESTINATION_OUT_OF_ORDER": 502,
    "INVALID_NUMBER_FORMAT": 484,
    "FACILITY_REJECTED": 501,
    "FACILITY_NOT_IMPLEMENTED": 501,
    "SERVICE_NOT_IMPLEMENTED": 501,
    "BEARERCAPABILITY_NOTIMPL": 501,
    "OUTGOING_CALL_BARRED": 403,
    "INCOMING_CALL_BARRED": 403,
    "BEARERCAPABILITY_NOTAUTH": 403,
    "INCOMPATIBLE_DESTINATION": 488,
    "NORMAL_CIRCUIT_CONGESTION": 503,
    "NETWORK_OUT_OF_ORDER": 503,
    "NORMAL_TEMPORARY_FAILURE": 503,
    "SWITCH_CONGESTION": 503,
    "REQUESTED_CHAN_UNAVAIL": 503,
    "SERVICE_UNAVAILABLE": 503,
    "SYSTEM_SHUTDOWN": 503,
    "RECOVERY_ON_TIMER_EXPIRE": 504,
    "CRASH": 500,
}
"""How a caller hears of a cause (RFC 3398 7.2.4.1, as far as it has a row). Any other is 480."""

_PASSED_ON: Final = frozenset({404, 410, 413, 480, 484, 486, 488, 500, 502, 503, 504, 600, 603, 604, 606})
"""Final statuses of the called party that mean to the caller what they meant to us. The rest are about our
own leg: who we are (401, 403, 407), how we asked (4xx), where else to go (3xx), our CANCEL (487)."""

CRASH: Final = "CRASH"
"""KAZOO's word for a leg that ended with the process or the relay that held it."""

_OUTCOME_OF_CAUSE: Final[dict[str, Outcome]] = {
    "USER_BUSY": Outcome.BUSY,
    "CALL_REJECTED": Outcome.REJECTED,
    "NO_ANSWER": Outcome.NO_ANSWER,
    "NO_USER_RESPONSE": Outcome.NO_ANSWER,
    "ALLOTTED_TIMEOUT": Outcome.NO_ANSWER,
    "PROGRESS_TIMEOUT": Outcome.NO_ANSWER,
    "RECOVERY_ON_TIMER_EXPIRE": Outcome.NO_ANSWER,
    "UNALLOCATED_NUMBER": Outcome.UNREACHABLE,
    "NO_ROUTE_TRANSIT_NET": Outcome.UNREACHABLE,
    "NO_ROUTE_DESTINATION": Outcome.UNREACHABLE,
    "USER_NOT_REGISTERED": Outcome.UNREACHABLE,
    "SUBSCRIBER_ABSENT": Outcome.UNREACHABLE,
    "DESTINATION_OUT_OF_ORDER": Outcome.UNREACHABLE,
    "INVALID_NUMBER_FORMAT": Outcome.UNREACHABLE,
    "NUMBER_CHANGED": Outcome.UNREACHABLE,
    CRASH: Outcome.PLATFORM_ERROR,
}

_CREDENTIALS_REFUSED: Final = frozenset({401, 402, 407})
"""The peer refused us, not the person: no human declined."""

_GATEWAY_TIMEOUT: Final = 504

_MOST_TELLING: Final[tuple[Outcome, ...]] = (
    Outcome.PLATFORM_ERROR,
    Outcome.REJECTED,
    Outcome.BUSY,
    Outcome.NO_ANSWER,
    Outcome.FAILED,
    Outcome.UNREACHABLE,
)
"""Which of several failed phones speaks for the party: what a person did before what a machine did.
A leg that we lost comes first of all: its phone might have answered."""

DEFINITIVE: Final = frozenset({Outcome.BUSY, Outcome.REJECTED, Outcome.NO_ANSWER})
"""The destination itself answered: another carrier would only hear the same."""


def cause_of_sip(status: int) -> str:
    """Return KAZOO's hangup cause for a final SIP status; NORMAL_UNSPECIFIED for those without a row."""
    return _CAUSE_OF_SIP.get(status, "NORMAL_UNSPECIFIED")


def refusal_of(hangup_cause: str, sip_code: int = 0) -> int:
    """Return the final SIP status for a caller whose call ends unanswered, 400 to 699.

    sip_code is what the called party said, 0 if it said nothing; the Reason header carries the cause.
    """
    return sip_code if sip_code in _PASSED_ON else _REFUSAL_OF_CAUSE.get(hangup_cause, 480)


def outcome_of(hangup_cause: str, sip_code: int) -> Outcome:
    """Return the outcome of a call that was not joined, from the cause and SIP status of its failed leg."""
    if hangup_cause != CRASH and (sip_code in _CREDENTIALS_REFUSED or sip_code == _GATEWAY_TIMEOUT):
        return Outcome.FAILED
    return _OUTCOME_OF_CAUSE.get(hangup_cause, Outcome.FAILED)


def most_telling(legs: Iterable[Leg]) -> Leg | None:
    """Return the failed leg that best says why a party was not reached; None if no leg was rung."""
    rung = [leg for leg in legs if leg.hangup_cause]
    known = {leg.leg_id for leg in rung}
    last = [leg for leg in rung if leg.redirected_to not in known]  # who was sent on does not speak for it
    return min(
        last,
        key=lambda leg: _MOST_TELLING.index(_failure_of(leg)),
        default=None,
    )


def _failure_of(leg: Leg) -> Outcome:
    outcome = outcome_of(leg.hangup_cause, leg.sip_code)
    return outcome if outcome in _MOST_TELLING else Outcome.FAILED


def is_definitive(leg: Leg) -> bool:
    """Tell whether the destination spoke for itself, so that no other carrier need be tried."""
    return (
        leg.hangup_cause not in ("PROGRESS_TIMEOUT", "RECOVERY_ON_TIMER_EXPIRE")
        and outcome_of(leg.hangup_cause, leg.sip_code) in DEFINITIVE
    )


def blame_for_failure(leg: Leg) -> By:
    """Return who ended a leg that was never joined."""
    if not leg.ended_by_peer:
        return By.PLATFORM if leg.hangup_cause in _FOUND_BY_US else By.POLICY
    return By.CARRIER if leg.endpoint.kind is EndpointKind.GATEWAY else side_as_by(leg.side)


_FOUND_BY_US: Final = frozenset(
    {"DESTINATION_OUT_OF_ORDER", "RECOVERY_ON_TIMER_EXPIRE", "INCOMPATIBLE_DESTINATION", CRASH}
)
"""Causes that an engine finds by itself: no transport, no answer to SIP, no common codec."""


def side_as_by(side: Side) -> By:
    """Return the party of that role as the one who ended the call."""
    return By.EXTENSION if side is Side.EXTENSION else By.CONTACT
