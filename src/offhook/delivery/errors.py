"""Errors of delivery.

DeliveryError
└── Undeliverable      no answer came: the reason is one of a few words
"""

from typing import ClassVar, Final

from offhook.kernel import OffhookError

REFUSED: Final = "econnrefused"
UNREACHABLE: Final = "ehostunreach"
CLOSED: Final = "closed"
TIMEOUT: Final = "timeout"
NO_NAME: Final = "nxdomain"
FORBIDDEN: Final = "forbidden_address"
"""The name leads to an address that is not public and that the operator has not allowed."""
TLS: Final = "tls_error"
BAD_ANSWER: Final = "bad_answer"
"""What came back is not HTTP."""
BAD_URI: Final = "bad_uri"


class DeliveryError(OffhookError):
    """A webhook could not be told something."""

    code: ClassVar[str] = "delivery-error"


class Undeliverable(DeliveryError):
    """No answer came from the receiver."""

    code: ClassVar[str] = "undeliverable"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason
