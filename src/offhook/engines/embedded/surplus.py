"""Answers that nobody waits for: told to the journal first, then hung up (decision 0009).

A second phone behind a forking proxy, a 200 that crossed our CANCEL, one without media we can use. To
acknowledge one and then to lose its BYE and this process would leave a party listening to nobody.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec
import structlog

from offhook.calls import events as reports
from offhook.calls.commands import HangUpSurplus
from offhook.calls.policy import CRASH
from offhook.kernel import Clock
from offhook.sip.dialogs import Dialog, DialogKey
from offhook.sip.events import SurplusAnswered
from offhook.sip.records import DialogRecord
from offhook.sip.user_agent import UserAgentCore

from .reasons import bye_headers, reason_of

_log = structlog.get_logger("offhook.engine")


class Reporter(Protocol):
    """What surplus answers need of the engine."""

    report: Callable[[reports.LegEvent], None]

    def report_later(self, event: reports.LegEvent) -> None:
        """Tell the call service in a later turn of the loop."""
        ...


class _Standing:
    """One surplus answer, until its dialog is over."""

    __slots__ = ("hang_up", "leg_id", "records")

    def __init__(self, leg_id: str, record: str, hang_up: Callable[[], None] | None) -> None:
        self.leg_id = leg_id
        self.records = [record]
        """What the journal calls it; a process before us may have noted it more than once."""
        self.hang_up = hang_up
        """What to do once the journal has it; None: it is being done."""


class SurplusAnswers:
    """Holds surplus answers until HangUpSurplus; reports the end of each. As many as the core has forks."""

    def __init__(self, reporter: Reporter, core: UserAgentCore, clock: Clock) -> None:
        self._reporter = reporter
        self._core = core
        self._clock = clock
        self._standing: dict[DialogKey, _Standing] = {}
        self._held: dict[str, _Standing] = {}
        """Those that wait for HangUpSurplus, by their record."""

    def __len__(self) -> int:
        """Return how many are not over (for leak tests)."""
        return len(self._standing)

    def take(self, event: SurplusAnswered, leg_id: str, cause: str) -> None:
        """Take an answer of an INVITE that was answered before, or cancelled for this cause."""
        event.dialog.context = None  # it carries no leg
        headers = (("Reason", str(reason_of(cause))),) if cause else ()
        self.hold(leg_id, event.dialog, partial(self._bye, event.dialog, headers))

    def hold(self, leg_id: str, dialog: Dialog, hang_up: Callable[[], None]) -> None:
        """Report an answer; call hang_up when the journal has it."""
        if dialog.key in self._standing:  # the journal has it: a process before us had noted it
            hang_up()
            return
        record = to_journal(dialog)
        self._standing[dialog.key] = self._held[record] = _Standing(leg_id, record, hang_up)
        self._reporter.report(reports.SurplusAnswered(leg_id, record))

    def hang_up(self, command: HangUpSurplus) -> None:
        """Hang one up that the journal has; one of a process before this is taken up first."""
        standing = self._held.pop(command.dialog, None)
        if standing is None:
            self._take_up(command)
        else:
            self._proceed(standing)

    def hang_up_all(self) -> None:
        """Hang up those that still wait for the journal: the node stops."""
        held, self._held = self._held, {}
        for standing in held.values():
            self._proceed(standing)

    def on_dialog_ended(self, dialog: Dialog) -> None:
        """Report the end of a surplus answer, if it was one."""
        standing = self._standing.pop(dialog.key, None)
        if standing is None:
            return
        for record in standing.records:
            self._held.pop(record, None)
            self._reporter.report_later(reports.SurplusEnded(standing.leg_id, record))

    def _proceed(self, standing: _Standing) -> None:
        hang_up, standing.hang_up = standing.hang_up, None
        if hang_up is not None:
            hang_up()

    def _bye(self, dialog: Dialog, headers: tuple[tuple[str, str], ...]) -> None:
        self._core.bye(dialog, self._clock.monotonic(), headers)

    def _take_up(self, command: HangUpSurplus) -> None:
        record = from_journal(command.dialog, command.leg_id)
        if record is None:
            self._reporter.report_later(reports.SurplusEnded(command.leg_id, command.dialog))
            return
        standing = self._standing.get((record.call_id, record.local_tag, record.remote_tag))
        if standing is not None:
            standing.records.append(command.dialog)
            return
        dialog = self._core.resume_dialog(record)
        self._standing[dialog.key] = _Standing(command.leg_id, command.dialog, None)
        self._core.send_ack(dialog, b"", self._clock.monotonic())
        self._bye(dialog, bye_headers(CRASH))


def to_journal(dialog: Dialog) -> str:
    """Return what a later process needs to end a dialog."""
    return msgspec.json.encode(DialogRecord.of(dialog)).decode()


def from_journal(text: str, leg_id: str) -> DialogRecord | None:
    """Return what `to_journal` said of a leg's dialog in an earlier process; None if it cannot be read."""
    try:
        return msgspec.json.decode(text, type=DialogRecord)
    except msgspec.DecodeError as error:
        _log.error("a dialog in the journal cannot be read", leg_id=leg_id, reason=str(error))
        return None
