"""What a node and an engine worker say to each other: msgpack, each behind its length.

    node → worker    Begin, Perform, AskTrace, Finish
    worker → node    Ready or CannotBegin, Reported, TraceIs, Load

Commands and leg events travel as they are (calls/commands.py, calls/events.py), under the name of their kind.
"""

from typing import Final, get_args

import msgspec

from offhook.app.ports import TraceLine
from offhook.calls.commands import EngineCommand
from offhook.calls.events import LegEvent


class Begin(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """First of all: what the engine is built from."""

    number: int
    """From 1; the node itself is 0."""
    settings: bytes
    """The effective settings of this worker, as JSON."""
    secret: str
    """Of the installation: tags and branches come from it."""
    sip_port: int = 0
    """That of the process before, which peers of its legs know; 0: as in the settings."""


class Perform(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Do a command of the engine port."""

    kind: str
    command: msgspec.Raw


class AskTrace(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Send what was said on a leg; TraceIs follows."""

    number: int
    leg_id: str


class Finish(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Hang up what is left and end."""


class Ready(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The engine is up; calls may come."""

    sip_host: str
    sip_port: int


class CannotBegin(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The engine cannot come up: a port is taken, the relay does not start. The worker ends."""

    reason: str


class Reported(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """An engine's leg event."""

    kind: str
    event: msgspec.Raw
    can_hold: bool = False
    """With LegsJoined: the media passes through the relay, so it can be cut and played to."""


class TraceIs(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The answer to AskTrace."""

    number: int
    lines: tuple[TraceLine, ...]


class Load(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """Sent every LOAD_INTERVAL_S: a sign of life."""

    legs: int
    """On the wire now."""
    cpu_s: float
    """Used by the process until now."""


ToWorker = Begin | Perform | AskTrace | Finish
ToNode = Ready | CannotBegin | Reported | TraceIs | Load

LOAD_INTERVAL_S: Final = 1.0

encode: Final = msgspec.msgpack.Encoder().encode
decode_for_worker: Final = msgspec.msgpack.Decoder(ToWorker).decode
decode_for_node: Final = msgspec.msgpack.Decoder(ToNode).decode

_COMMANDS: Final = {kind.__name__: msgspec.msgpack.Decoder(kind).decode for kind in get_args(EngineCommand)}
_EVENTS: Final = {kind.__name__: msgspec.msgpack.Decoder(kind).decode for kind in get_args(LegEvent)}


def perform(command: EngineCommand) -> Perform:
    """Return the message that carries a command."""
    return Perform(type(command).__name__, msgspec.Raw(encode(command)))


def command_in(message: Perform) -> EngineCommand:
    """Return the command that a message carries. Raises KeyError, msgspec.DecodeError if it is none."""
    command: EngineCommand = _COMMANDS[message.kind](message.command)
    return command


def reported(event: LegEvent, *, can_hold: bool = False) -> Reported:
    """Return the message that carries a leg event."""
    return Reported(type(event).__name__, msgspec.Raw(encode(event)), can_hold)


def event_in(message: Reported) -> LegEvent:
    """Return the leg event that a message carries. Raises KeyError, msgspec.DecodeError if it is none."""
    event: LegEvent = _EVENTS[message.kind](message.event)
    return event
