"""What can be wrong with a SIP message.

SipError
├── RemoteMalformed        the peer's fault: answer with `status`, or drop
├── LocalHeaderInjection   our caller's fault: a line break where none may be
├── LocalDialogOver        our caller's fault: a request in a dialog that is over or not yet confirmed
└── LocalOverload          no room for another transaction or dialog
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


class LocalDialogOver(SipError):
    """A request was to be sent in a dialog that is over, or not yet confirmed."""

    code = "sip-dialog-over"

    def __init__(self, call_id: str) -> None:
        super().__init__(call_id)
        self.call_id = call_id

    def __str__(self) -> str:
        return f"the dialog of {self.call_id} cannot carry a request now"


class LocalOverload(SipError):
    """The core holds as many transactions or dialogs as it may. Maps to HTTP 503."""

    code = "sip-overload"

    def __str__(self) -> str:
        return "no room for another SIP transaction or dialog"
