"""The four transaction machines of RFC 3261 section 17, with RFC 6026, as literal tables.

A value is (next state, name of the action in transactions.py). What is not listed is our bug.
"""

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a transaction stands. The table moves it on; TERMINATED transactions are forgotten."""

    CALLING = "calling"
    """INVITE client: sent, nothing heard; timers A and B run."""
    TRYING = "trying"
    """Non-INVITE client: sent, timers E and F run. Non-INVITE server: handed up, no answer yet."""
    PROCEEDING = "proceeding"
    """A provisional answer has passed."""
    ACCEPTED = "accepted"
    """A 2xx has passed; repeated ones go to the user until timer L or M (RFC 6026)."""
    COMPLETED = "completed"
    """A final answer has passed; repeats are dealt with here until timer D, H, J or K."""
    CONFIRMED = "confirmed"
    """INVITE server: the ACK of a failure has come; timer I soaks up repeats."""
    TERMINATED = "terminated"


class Input(StrEnum):
    """What can happen to a transaction."""

    PROVISIONAL = "provisional"
    """1xx: received by a client, sent by the user of a server."""
    SUCCESS = "success"
    """2xx."""
    FAILURE = "failure"
    """3xx to 6xx."""
    REQUEST = "request"
    """The same request again."""
    ACK = "ack"
    TIMER_A = "timer A"
    TIMER_B = "timer B"
    TIMER_C = "timer C"
    TIMER_D = "timer D"
    TIMER_E = "timer E"
    TIMER_F = "timer F"
    TIMER_G = "timer G"
    TIMER_H = "timer H"
    TIMER_I = "timer I"
    TIMER_J = "timer J"
    TIMER_K = "timer K"
    TIMER_L = "timer L"
    TIMER_M = "timer M"
    TRANSPORT_ERROR = "transport error"
    ABANDON = "abandon"
    """The user gives up: no final answer within 64*T1 of a CANCEL (RFC 3261 9.1)."""
    UNANSWERED = "unanswered"
    """The user of a server transaction has said nothing for too long."""


Table = dict[tuple[State, Input], tuple[State, str]]

# RFC 3261 figure 5, with the Accepted state of RFC 6026 section 7.2.
INVITE_CLIENT: Final[Table] = {
    (State.CALLING, Input.PROVISIONAL): (State.PROCEEDING, "proceed"),  # stops A and B, starts C
    (State.CALLING, Input.SUCCESS): (State.ACCEPTED, "accept"),  # starts M; the dialog sends the ACK
    (State.CALLING, Input.FAILURE): (State.COMPLETED, "acknowledge"),  # sends ACK, starts D
    (State.CALLING, Input.TIMER_A): (State.CALLING, "resend"),
    (State.CALLING, Input.TIMER_B): (State.TERMINATED, "report_timeout"),
    (State.CALLING, Input.TRANSPORT_ERROR): (State.TERMINATED, "report_transport_error"),
    (State.CALLING, Input.ABANDON): (State.TERMINATED, "report_timeout"),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, "proceed"),  # restarts C
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, "accept"),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, "acknowledge"),
    (State.PROCEEDING, Input.TIMER_C): (State.PROCEEDING, "report_no_final"),  # the user cancels
    (State.PROCEEDING, Input.ABANDON): (State.TERMINATED, "report_timeout"),
    # Nothing is being sent; the answer may come over another connection.
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.PROCEEDING, "ignore"),
    (State.ACCEPTED, Input.PROVISIONAL): (State.ACCEPTED, "ignore"),  # late, or another branch of a fork
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, "pass_up"),  # repeated, or another branch of a fork
    (State.ACCEPTED, Input.FAILURE): (State.ACCEPTED, "ignore"),
    (State.ACCEPTED, Input.TIMER_M): (State.TERMINATED, "forget"),
    (State.ACCEPTED, Input.TRANSPORT_ERROR): (State.ACCEPTED, "ignore"),
    (State.COMPLETED, Input.PROVISIONAL): (State.COMPLETED, "ignore"),
    # A proxy passes on a late 2xx even after its own failure (RFC 3261 16.7 step 5).
    (State.COMPLETED, Input.SUCCESS): (State.COMPLETED, "pass_up"),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, "resend_ack"),
    (State.COMPLETED, Input.TIMER_D): (State.TERMINATED, "forget"),
    (State.COMPLETED, Input.TRANSPORT_ERROR): (State.TERMINATED, "forget"),  # the failure is reported
}

# RFC 3261 figure 6.
NON_INVITE_CLIENT: Final[Table] = {
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, "pass_up"),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, "complete"),  # stops E and F, starts K
    (State.TRYING, Input.FAILURE): (State.COMPLETED, "complete"),
    (State.TRYING, Input.TIMER_E): (State.TRYING, "resend"),
    (State.TRYING, Input.TIMER_F): (State.TERMINATED, "report_timeout"),
    (State.TRYING, Input.TRANSPORT_ERROR): (State.TERMINATED, "report_transport_error"),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, "pass_up"),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, "complete"),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, "complete"),
    (State.PROCEEDING, Input.TIMER_E): (State.PROCEEDING, "resend_slowly"),
    (State.PROCEEDING, Input.TIMER_F): (State.TERMINATED, "report_timeout"),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.TERMINATED, "report_transport_error"),
    (State.COMPLETED, Input.PROVISIONAL): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.SUCCESS): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.TIMER_K): (State.TERMINATED, "forget"),
    (State.COMPLETED, Input.TRANSPORT_ERROR): (State.COMPLETED, "ignore"),
}

# RFC 3261 figure 7, with the Accepted state of RFC 6026 section 7.1 (errors of transport keep the state).
INVITE_SERVER: Final[Table] = {
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, "resend"),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, "send"),
    (State.PROCEEDING, Input.SUCCESS): (State.ACCEPTED, "send_success"),  # starts L
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, "send_failure"),  # starts G and H
    (State.PROCEEDING, Input.ACK): (State.PROCEEDING, "ignore"),  # of no answer of ours
    (State.PROCEEDING, Input.UNANSWERED): (State.PROCEEDING, "report_unanswered"),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.PROCEEDING, "leave_connection"),
    (State.ACCEPTED, Input.REQUEST): (State.ACCEPTED, "ignore"),
    (State.ACCEPTED, Input.SUCCESS): (State.ACCEPTED, "send"),  # the user repeats it until the ACK
    (State.ACCEPTED, Input.PROVISIONAL): (State.ACCEPTED, "ignore"),  # our caller is late
    (State.ACCEPTED, Input.FAILURE): (State.ACCEPTED, "ignore"),
    (State.ACCEPTED, Input.ACK): (State.ACCEPTED, "pass_up_ack"),
    (State.ACCEPTED, Input.TIMER_L): (State.TERMINATED, "forget"),
    (State.ACCEPTED, Input.TRANSPORT_ERROR): (State.ACCEPTED, "leave_connection"),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, "resend"),
    (State.COMPLETED, Input.PROVISIONAL): (State.COMPLETED, "ignore"),  # our caller answers after a CANCEL
    (State.COMPLETED, Input.SUCCESS): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.ACK): (State.CONFIRMED, "confirm"),  # stops G and H, starts I
    (State.COMPLETED, Input.TIMER_G): (State.COMPLETED, "resend_doubling"),
    (State.COMPLETED, Input.TIMER_H): (State.TERMINATED, "forget"),
    (State.COMPLETED, Input.TRANSPORT_ERROR): (State.COMPLETED, "leave_connection"),
    (State.CONFIRMED, Input.REQUEST): (State.CONFIRMED, "ignore"),
    (State.CONFIRMED, Input.ACK): (State.CONFIRMED, "ignore"),
    (State.CONFIRMED, Input.PROVISIONAL): (State.CONFIRMED, "ignore"),
    (State.CONFIRMED, Input.SUCCESS): (State.CONFIRMED, "ignore"),
    (State.CONFIRMED, Input.FAILURE): (State.CONFIRMED, "ignore"),
    (State.CONFIRMED, Input.TIMER_I): (State.TERMINATED, "forget"),
    (State.CONFIRMED, Input.TRANSPORT_ERROR): (State.CONFIRMED, "ignore"),
}

# RFC 3261 figure 8.
NON_INVITE_SERVER: Final[Table] = {
    (State.TRYING, Input.REQUEST): (State.TRYING, "ignore"),
    (State.TRYING, Input.PROVISIONAL): (State.PROCEEDING, "send"),
    (State.TRYING, Input.SUCCESS): (State.COMPLETED, "send_final"),  # starts J
    (State.TRYING, Input.FAILURE): (State.COMPLETED, "send_final"),
    (State.TRYING, Input.UNANSWERED): (State.TERMINATED, "forget"),  # RFC 4320: too late to answer
    (State.TRYING, Input.TRANSPORT_ERROR): (State.TRYING, "ignore"),
    (State.PROCEEDING, Input.REQUEST): (State.PROCEEDING, "resend"),
    (State.PROCEEDING, Input.PROVISIONAL): (State.PROCEEDING, "send"),
    (State.PROCEEDING, Input.SUCCESS): (State.COMPLETED, "send_final"),
    (State.PROCEEDING, Input.FAILURE): (State.COMPLETED, "send_final"),
    (State.PROCEEDING, Input.UNANSWERED): (State.TERMINATED, "forget"),
    (State.PROCEEDING, Input.TRANSPORT_ERROR): (State.PROCEEDING, "ignore"),
    (State.COMPLETED, Input.REQUEST): (State.COMPLETED, "resend"),
    (State.COMPLETED, Input.PROVISIONAL): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.SUCCESS): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.FAILURE): (State.COMPLETED, "ignore"),
    (State.COMPLETED, Input.TIMER_J): (State.TERMINATED, "forget"),
    (State.COMPLETED, Input.TRANSPORT_ERROR): (State.COMPLETED, "ignore"),
}
