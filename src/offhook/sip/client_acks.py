"""ACKs of a 2xx that went over a connection: one that may be lost with it is sent over a new one.

Over UDP the peer repeats its 2xx, and gets the ACK again (RFC 3261 13.2.2.4). Over a connection it may have
no way to us but the one that is lost, and would end the call after 64*T1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .config import RECONNECT_PAUSES
from .dialogs import Dialog, DialogState
from .transaction_layer import Key, connection_of

if TYPE_CHECKING:
    from .core_state import CoreState
    from .flows import Flow


class ClientAcks:
    """ACKs of the last 64*T1, by connection. As many as there are dialogs."""

    __slots__ = ("_by_connection", "_core")

    def __init__(self, core: CoreState) -> None:
        self._core = core
        self._by_connection: dict[Key, dict[Dialog, int]] = {}
        """Connection → dialog → how many connections were lost under its ACK."""

    def sent(self, dialog: Dialog, now: float, *, lost: int = 0) -> None:
        """Remember the ACK of a dialog if it went over a connection."""
        assert dialog.ack is not None
        flow = dialog.ack[1]
        if not flow.is_reliable or lost >= len(RECONNECT_PAUSES):
            return
        key = connection_of(flow)
        self._by_connection.setdefault(key, {})[dialog] = lost
        self._core.wheel.start(now + self._core.config.give_up, partial(self._forget, key, dialog))

    def flow_failed(self, flow: Flow, now: float) -> None:
        """A connection is lost: send its ACKs over new ones, at once or after a pause."""
        for dialog, lost in self._by_connection.pop(connection_of(flow), {}).items():
            pause = RECONNECT_PAUSES[lost] * self._core.config.t1
            self._core.wheel.start(now + pause, partial(self._send, dialog, lost + 1))

    def _send(self, dialog: Dialog, lost: int, now: float) -> None:
        if dialog.ack is None or dialog.state is DialogState.ENDED:
            return
        data, flow = dialog.ack
        if not dialog.flow.id or dialog.flow.id == flow.id:
            dialog.leave_connection()
        dialog.ack = (data, dialog.next_hop())
        self._core.layer.transmit(*dialog.ack)
        self.sent(dialog, now, lost=lost)

    def _forget(self, key: Key, dialog: Dialog, now: float) -> None:
        waiting = self._by_connection.get(key, {})
        waiting.pop(dialog, None)
        if not waiting:
            self._by_connection.pop(key, None)
