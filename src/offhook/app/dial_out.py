"""How many calls outside the phones of an account may have (decision 0014): dialled or transferred ones."""

from contextlib import ExitStack
from typing import Final, NamedTuple, Protocol

import structlog

from offhook.directory.model import Document
from offhook.kernel import Clock

from .errors import TooManyRequests
from .limits import Throttles

_log = structlog.get_logger("offhook.inbound")

ACCOUNT_CALLS: Final = 10
ACCOUNT_CALLS_PER_MINUTE: Final = 30
"""Calls outside of all phones of an account, at once and begun in a minute, unless its `dial_out` says
otherwise: a small office; a thief finds the door shut after minutes, not after a weekend."""

DEVICE_CALLS: Final = 2
DEVICE_CALLS_PER_MINUTE: Final = 6
"""The same of one phone: a call and a second one beside it; a person who redials."""

RETRY_S: Final = 30.0
"""When to try again if there are too many calls at once: calls last minutes."""


class CallsOutside(Protocol):
    """What counts them (the call service)."""

    def dialled_out(self, account_id: str, device_id: str = "") -> int:
        """Return how many live calls phones of the account have to outside; one phone's, if named."""
        ...


class Dialler(NamedTuple):
    """A phone, and the documents that bound it."""

    account: Document
    owner: Document | None
    device: Document


class DialOut:
    """The bounds of a node's phones. One for all ways to dial."""

    def __init__(self, calls: CallsOutside, *, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock
        self._throttles = Throttles()

    def within(self, dialler: Dialler, number: str) -> ExitStack:
        """Count a call outside against its bounds; they are given back if the body raises.

        Raises TooManyRequests.
        """
        account_id = dialler.account.id
        with ExitStack() as counted:
            for bound in _bounds(dialler):
                if self._calls.dialled_out(account_id, bound.device_id) >= bound.calls:
                    _log.warning(
                        "too many calls outside at once",
                        account_id=account_id,
                        device_id=dialler.device.id,
                        number=number,
                        most=bound.calls,
                    )
                    raise TooManyRequests(RETRY_S)
                now = self._clock.monotonic()
                counted.enter_context(self._throttles.invocation(bound.key, bound.per_minute, now=now))
            return counted.pop_all()


class _Bound(NamedTuple):
    key: str
    device_id: str
    """Empty: the account's phones together."""
    calls: int
    per_minute: int


def _bounds(dialler: Dialler) -> tuple[_Bound, _Bound]:
    account, owner, device = dialler
    of_account = account.data.get("dial_out") or {}
    of_device = {
        **((owner.data.get("dial_out") or {}) if owner else {}),
        **(device.data.get("dial_out") or {}),
    }
    return (
        _Bound(
            f"account/{account.id}",
            "",
            of_account.get("calls", ACCOUNT_CALLS),
            of_account.get("calls_per_minute", ACCOUNT_CALLS_PER_MINUTE),
        ),
        _Bound(
            f"device/{device.id}",
            device.id,
            of_device.get("calls", DEVICE_CALLS),
            of_device.get("calls_per_minute", DEVICE_CALLS_PER_MINUTE),
        ),
    )
