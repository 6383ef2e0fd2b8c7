"""What can be wrong with a SIP message.

SipError
├── RemoteMalformed        the peer's fault: answer with `status`, or drop
└── LocalHeaderInjection   our caller's fault: a line break where none may be
"""

from typing import TYPE_CHECKING

from offhook.kernel import OffhookError

if TYPE_CHECKING:
    from .message import Request


class SipError(OffhookError):
    """Something about a SIP message is wrong."""

    code = "sip-error"


class RemoteMalformed(SipError):
    """A peer sent what RFC 3261 does not allow.

    `request` is what could be read of a broken request, enough for `response_to`; it is None for
    broken responses and for what is no SIP at all: those are dropped.
    """

    code = "sip-malformed"

    def __init__(
        self, header: str, reason: str, *, status: int = 400, request: "Request | None" = None
    ) -> None:
        super().__init__(header, reason)
        self.header = header
        self.reason = reason
        self.status = status
        self.request = request

    def __str__(self) -> str:
        return f"{self.header}: {self.reason}"


class LocalHeaderInjection(SipError):
    """A value to be sent holds CR, LF or NUL, or a header name is no token: it would forge headers."""

    code = "sip-header-injection"

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where

    def __str__(self) -> str:
        return f"line break, NUL or bad name in {self.where}"
