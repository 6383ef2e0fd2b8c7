"""What client and server transactions share: a table, a state, two timers, a way out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from offhook.kernel import Timer

from .flows import Flow
from .transaction_tables import Input, State, Table

if TYPE_CHECKING:
    from .transaction_layer import TransactionLayer

Action = Callable[[Any, Any, float], None]
Resolved = dict[tuple[State, Input], tuple[State, Action]]
"""A table with functions in place of their names."""


class UnlistedInput(AssertionError):
    """A transaction met what its table does not list: a bug of ours, never a peer's doing."""


def resolved(table: Table, owner: type) -> Resolved:
    """Return the table with the functions in place of their names."""
    return {key: (state, getattr(owner, f"_{name}")) for key, (state, name) in table.items()}


class Transaction:
    """A state that the table moves, and what the actions do with it."""

    __slots__ = ("_pause", "_resend_timer", "_table", "_timer", "data", "flow", "key", "layer", "state")

    key: tuple[Any, ...]
    state: State
    _table: Resolved

    def __init__(self, layer: TransactionLayer, flow: Flow) -> None:
        self.layer = layer
        self.flow = flow
        """Where it sends to."""
        self.data = b""
        """What is sent again."""
        self._timer: Timer | None = None
        self._resend_timer: Timer | None = None
        self._pause = layer.config.t1

    def apply(self, event: Input, message: Any, now: float) -> None:
        """Change the state by the table, then act. Raises UnlistedInput, changing nothing."""
        try:
            state, action = self._table[self.state, event]
        except KeyError:
            raise UnlistedInput(f"{type(self).__name__} {self.state.value}: {event.value}") from None
        self.state = state
        action(self, message, now)

    def _fire(self, event: Input, now: float) -> None:
        self.apply(event, None, now)

    def start_timer(self, event: Input, delay: float, now: float) -> None:
        """Run one of the long timers in place of the one that runs."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.layer.wheel.start(now + delay, partial(self._fire, event))

    def start_resending(self, event: Input, delay: float, now: float) -> None:
        """Run timer A, E or G."""
        self._pause = delay
        self._resend_timer = self.layer.wheel.start(now + delay, partial(self._fire, event))

    def stop_resending(self) -> None:
        """Stop timer A, E or G."""
        if self._resend_timer is not None:
            self._resend_timer.cancel()
            self._resend_timer = None

    def linger(self, event: Input, delay: float, now: float) -> None:
        """Stay for repeats; over a reliable transport there are none."""
        self.stop_resending()
        if self.flow.is_reliable:
            self.apply(event, None, now)
        else:
            self.start_timer(event, delay, now)

    def transmit(self) -> None:
        """Queue what was last sent."""
        self.layer.transmit(self.data, self.flow)

    def _ignore(self, message: Any, now: float) -> None:
        """Do nothing: late, repeated, or not for this state."""

    def _forget(self, message: Any, now: float) -> None:
        """Leave the layer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.stop_resending()
        self._leave_layer()

    def _leave_layer(self) -> None:
        """Take this one out of the layer's table."""
        raise NotImplementedError
