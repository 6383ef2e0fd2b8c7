"""The media relay of a world: ports, joins, and its own death; no packet is relayed."""

import asyncio
import random
from collections.abc import Sequence
from itertools import count

from offhook.engines.embedded.relay import (
    PreparedMedia,
    RelayFull,
    RelayLost,
    RelayPort,
    RelaySide,
    ReportMediaError,
    SessionStatistics,
    SideStatistics,
)

from .network import NODE


class VirtualRelay:
    """The MediaRelay port. Ports are never used twice, so that a port tells whose it was."""

    def __init__(self, dice: random.Random, ports: "count[int]", joined: set[frozenset[int]]) -> None:
        self.sessions: dict[str, dict[RelaySide, RelayPort]] = {}
        self.joined = joined
        """Pairs of ports that were joined; the world's, as it outlives a process."""
        self.is_full = False
        self._dice = dice
        self._ports = ports
        self._report: ReportMediaError = lambda session_id, error: None

    async def start(self, report: ReportMediaError) -> None:
        self._report = report

    async def stop(self) -> None:
        self.sessions.clear()

    async def open_leg(self, session_id: str, side: RelaySide) -> RelayPort:
        if session_id not in self.sessions:
            if self._dice.random() < 0.5:
                await asyncio.sleep(self._dice.random() * 0.003)
            if self.is_full:
                raise RelayFull(len(self.sessions))
        ports = self.sessions.setdefault(session_id, {})
        if side not in ports:
            ports[side] = RelayPort(NODE[0], next(self._ports))
        return ports[side]

    def connect_leg(
        self, session_id: str, side: RelaySide, host: str, port: int, payload_types: Sequence[int]
    ) -> None:
        """Nothing is relayed."""

    def play(self, session_id: str, side: RelaySide, media: PreparedMedia, *, is_once: bool = False) -> None:
        """Nothing is played."""

    def silence(self, session_id: str, side: RelaySide) -> None:
        """Nothing is played."""

    def pass_through(self, session_id: str, side: RelaySide) -> None:
        """Nothing is relayed."""

    def join(self, session_id: str) -> None:
        ports = self.sessions.get(session_id, {})
        if len(ports) == len(RelaySide):
            self.joined.add(frozenset(port.port for port in ports.values()))

    async def statistics(self, session_id: str) -> SessionStatistics:
        side = SideStatistics(packets_received=0, packets_lost=0, jitter_mean_ms=0.0)
        return SessionStatistics(first=side, second=side, packets_relayed=0, packets_dropped=0)

    def close(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)

    def die(self) -> None:
        """Lose every session, as when the relay's process is killed; it is up again at once."""
        lost, self.sessions = list(self.sessions), {}
        for session_id in lost:
            self._report(session_id, RelayLost("killed"))


class SilentLibrary:
    """The MediaLibrary port: everything can be played."""

    async def prepare(self, media: str) -> PreparedMedia:
        return PreparedMedia("tone")
