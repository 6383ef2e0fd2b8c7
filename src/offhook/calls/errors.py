"""Errors of the call context.

CallError
└── IllegalTransition
"""

from typing import ClassVar

from offhook.kernel import OffhookError


class CallError(OffhookError):
    """A call could not be set up or changed."""

    code: ClassVar[str] = "call-error"


class IllegalTransition(CallError):
    """The call machine met an input its table does not list: a bug of ours. Nothing was changed."""

    code: ClassVar[str] = "illegal-transition"

    def __init__(self, state: str, received: str) -> None:
        self.state = state
        self.received = received

    def __str__(self) -> str:
        return f"a call that is {self.state} does not expect {self.received}"
