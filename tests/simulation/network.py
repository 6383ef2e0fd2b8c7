"""The network of a world: datagrams that are lost, repeated, late and overtaken, connections that break.

It is fair: of the packets one address sends another, at most LOST_IN_A_ROW are lost one after the other, so
that whoever repeats itself as RFC 3261 wants is heard in the end. An address may also be out of reach for a
while, or for ever (`unreachable`): then nobody can be expected to know how its legs ended.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from offhook.sip.errors import RemoteMalformed
from offhook.sip.flows import Flow
from offhook.sip.framing import KeepAlive, StreamFramer

from .virtual_time import Address, Agenda, VirtualLoop

NODE: Final[Address] = ("10.0.0.1", 5060)

LOST_IN_A_ROW: Final = 4
"""Of eleven tries in 64*T1; more would now and then lose a whole BYE, which no protocol can mend."""

BROKEN_MAX: Final = 4
"""Connections of one far end that break, or cannot be opened; a BYE tries five new ones."""

LONGEST_DELAY_S: Final = 3.0
"""Below T4: RFC 3261 does not promise anything about older packets."""


class Conditions(msgspec.Struct, frozen=True):
    """How bad a network is: shares of packets, and seconds."""

    loss: float = 0.0
    repeat: float = 0.0
    delay: float = 0.02
    straggle: float = 0.0
    """Share of packets that take up to LONGEST_DELAY_S."""
    breaks: float = 0.0
    """Share of messages over TCP under which the connection breaks."""


class Machine(Protocol):
    """Something with an address that takes packets."""

    address: Address
    lost_connections: int

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one message."""
        ...

    def note_arrival(self, data: bytes) -> None:
        """Something it sent has reached the node."""
        ...

    def connection_lost(self, flow: Flow) -> None:
        """A TCP connection is gone."""
        ...

    def is_reachable(self) -> bool:
        """Tell whether packets come and go now."""
        ...


class NodeSocket:
    """The node's UDP socket: what came waits until the loop reads it."""

    def __init__(self, network: "Network", loop: VirtualLoop) -> None:
        self._network = network
        self._loop = loop
        self._arrived: list[tuple[bytes, Address]] = []
        self._is_noticed = False
        self.is_closed = False

    def fileno(self) -> int:
        return 7

    def getsockname(self) -> Address:
        return NODE

    def deliver(self, data: bytes, remote: Address) -> None:
        """Put a datagram into the buffer and make the socket readable."""
        if self.is_closed or self._loop.is_dead:
            return
        self._arrived.append((data, remote))
        if not self._is_noticed:
            self._is_noticed = True
            self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        self._is_noticed = False
        reader = self._loop.readers.get(self.fileno())
        if reader is not None:
            self._arrived.reverse()
            reader()
            self._arrived.reverse()
            if self._arrived:
                self._is_noticed = True
                self._loop.call_soon(self._readable)

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        if not self._arrived:
            raise BlockingIOError
        return self._arrived.pop()

    def sendto(self, data: bytes, remote: Address) -> None:
        if not self.is_closed:
            self._network.send_datagram(data, NODE, remote)

    def close(self) -> None:
        self.is_closed = True


class Connection:
    """One TCP connection between the node's protocol object and a far end; it is the node's transport too."""

    def __init__(self, network: "Network", loop: VirtualLoop, machine: Machine, number: int) -> None:
        self.network = network
        self.loop = loop
        self.machine = machine
        self.protocol: Any = None
        self.flow = Flow("tcp", machine.address, NODE, f"far-{number}")
        """As the far end sees it."""
        self.is_open = True
        self._framer = StreamFramer()
        self._there_by = self._here_by = 0.0

    # --- the node's transport -------------------------------------------------------------------------

    def get_extra_info(self, name: str) -> Address:
        return NODE if name == "sockname" else self.machine.address

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return not self.is_open

    def write(self, data: bytes) -> None:
        if self._breaks():
            return
        self._there_by = max(self._there_by, self.network.agenda.now + self.network.travel_time())
        for part in self.network.cut(data):
            self.network.agenda.at(self._there_by, self._arrive_there, part)

    def abort(self) -> None:
        self.lose()

    # --- both directions ------------------------------------------------------------------------------

    def write_back(self, data: bytes) -> None:
        """Send from the far end to the node."""
        if self._breaks():
            return
        self._here_by = max(self._here_by, self.network.agenda.now + self.network.travel_time())
        for part in self.network.cut(data):
            self.network.agenda.at(self._here_by, self._arrive_here, part)

    def _breaks(self) -> bool:
        if self.is_open and self.network.breaks_now(self.machine.address):
            self.lose()
        return not self.is_open

    def _arrive_there(self, data: bytes) -> None:
        if not self.is_open:
            return
        try:
            for message in self._framer.feed(data):
                if not isinstance(message, KeepAlive):
                    self.network.note(message, NODE, self.machine.address)
                    self.machine.receive(message, self.flow)
        except RemoteMalformed as error:
            raise AssertionError(f"the node sent a stream that cannot be framed: {error}") from error

    def _arrive_here(self, data: bytes) -> None:
        if self.is_open and not self.loop.is_dead:
            self.machine.note_arrival(data)
            self.loop.call_soon(self.protocol.data_received, data)

    def lose(self) -> None:
        """Break it; each side notices in its own time."""
        if not self.is_open:
            return
        self.is_open = False
        self.machine.lost_connections += 1
        self.network.forget(self)
        if not self.loop.is_dead:
            self.loop.call_soon(self.protocol.connection_lost, None)
        self.network.agenda.after(self.network.travel_time(), self.machine.connection_lost, self.flow)


class Network:
    """Carries messages between one node and the far ends."""

    def __init__(self, agenda: Agenda, dice: random.Random, conditions: Conditions) -> None:
        self.agenda = agenda
        self.conditions = conditions
        self.machines: dict[Address, Machine] = {}
        self.socket: NodeSocket | None = None
        self.loop: VirtualLoop | None = None
        """The running node's; None while it is down."""
        self.note: Callable[[bytes, Address, Address], None] = lambda data, source, to: None
        """Told of every message that arrives (the ladder)."""
        self.carried = 0
        self._dice = dice
        self._lost: dict[tuple[object, ...], int] = {}
        self._connections: dict[str, Connection] = {}
        self._count = 0

    # --- datagrams ------------------------------------------------------------------------------------

    def send_datagram(self, data: bytes, source: Address, to: Address) -> None:
        """Carry one datagram, or lose it, or bring it twice."""
        conditions, dice = self.conditions, self._dice
        if conditions.loss and dice.random() < conditions.loss:
            way = (source, to)
            lost = self._lost.get(way, 0)
            if lost < LOST_IN_A_ROW:
                self._lost[way] = lost + 1
                return
        if conditions.loss:
            self._lost.pop((source, to), None)
        self.agenda.after(self.travel_time(), self._arrive, data, source, to)
        if conditions.repeat and dice.random() < conditions.repeat:
            self.agenda.after(self.travel_time(), self._arrive, data, source, to)

    def travel_time(self) -> float:
        """Return how long the next packet takes."""
        conditions = self.conditions
        if conditions.straggle and self._dice.random() < conditions.straggle:
            return self._dice.random() * LONGEST_DELAY_S
        return self._dice.random() * conditions.delay

    def _arrive(self, data: bytes, source: Address, to: Address) -> None:
        machine = self.machines.get(source if to == NODE else to)
        if machine is None or not machine.is_reachable():
            return
        self.carried += 1
        if to == NODE:
            if self.socket is not None:
                machine.note_arrival(data)
                self.note(data, source, to)
                self.socket.deliver(data, source)
        else:
            self.note(data, source, to)
            machine.receive(data, Flow("udp", to, source))

    # --- connections ----------------------------------------------------------------------------------

    def breaks_now(self, address: Address) -> bool:
        """Tell whether a connection to a far end breaks under the next message, or cannot be opened."""
        way = (address, NODE, "tcp")
        broken = self._lost.get(way, 0)
        if not self.conditions.breaks or broken >= BROKEN_MAX:
            return False
        if self._dice.random() >= self.conditions.breaks:
            return False
        self._lost[way] = broken + 1
        return True

    def cut(self, data: bytes) -> tuple[bytes, ...]:
        """Return what one write arrives as: a stream has no message boundaries."""
        if self._dice.random() < 0.2:
            place = self._dice.randrange(1, len(data))
            return data[:place], data[place:]
        return (data,)

    async def connect_from_node(self, factory: Callable[[], Any], to: Address) -> tuple[Any, Any]:
        """Open a connection from the node. Raises OSError; a machine out of reach never answers."""
        loop = self.loop
        assert loop is not None
        machine = self.machines.get(to)
        await asyncio.sleep(2 * self.travel_time())
        if machine is None or not machine.is_reachable():
            await asyncio.sleep(60.0)
        if machine is None:
            raise OSError("no route to host")
        if self.breaks_now(to):
            machine.lost_connections += 1
            raise OSError("connection refused")
        return self._establish(loop, machine, factory)

    def _establish(self, loop: VirtualLoop, machine: Machine, factory: Callable[[], Any]) -> tuple[Any, Any]:
        self._count += 1
        connection = Connection(self, loop, machine, self._count)
        connection.protocol = factory()
        self._connections[connection.flow.id] = connection
        connection.protocol.connection_made(connection)
        return connection, connection.protocol

    def send_stream(self, data: bytes, flow: Flow, machine: Machine) -> None:
        """Send from a far end to the node over the connection of a flow, or over a new one."""
        connection = self._connections.get(flow.id)
        if connection is None and data.startswith(b"SIP/2.0 "):
            flow = Flow("tcp", flow.local, flow.remote)  # responses take another one (RFC 3261 18.2.2)
        if not flow.id:
            connection = self._standing(machine)
        if connection is None and not flow.id and self.loop is not None and self.loop.server_factory:
            connection, _ = self._establish(self.loop, machine, self.loop.server_factory)
        if connection is None:
            self.agenda.after(0.0, machine.connection_lost, flow)
            return
        self.note(data, machine.address, NODE)
        connection.write_back(data)

    def _standing(self, machine: Machine) -> Connection | None:
        found = [one for one in self._connections.values() if one.machine is machine]
        return found[0] if found else None

    def forget(self, connection: Connection) -> None:
        """Drop it from the table."""
        self._connections.pop(connection.flow.id, None)

    def node_died(self) -> None:
        """The system closes the sockets of a process that is gone."""
        self.socket = self.loop = None
        for connection in list(self._connections.values()):
            connection.lose()
