"""The media relay that comes with offhook: RTPProxy (package rtp.io) in a child process.

RTPProxy knows a session by a word and two tags. It takes `U` (with `&& L`) to open both ports, `L` with an
address to say where a side receives, `P` and `S` to start and stop a player, `Q` to count, `D` to close.

Facts of RTPProxy that carry the design: While a player runs towards a side, what the other side sends is
dropped; so a session starts with a mute player, the gate, on each side, and joining is to stop both.
A player takes its packet length from the last `z` given for the *other* side, and such a `z` also makes
the relay repack; so `z` is given on opening and taken back, without a further command, on connecting.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from offhook.sip.sdp_dtls import DtlsPeer, DtlsPort

from .relay import (
    PCMA,
    PCMU,
    MediaError,
    MediaRefused,
    PlaybackFailed,
    PreparedMedia,
    RelayFull,
    RelayLost,
    RelayPort,
    RelaySide,
    ReportMediaError,
    SessionStatistics,
)
from .relay_bell import BELL_COMMAND, BELL_DELAY_S, RelayBell
from .relay_control import LOST
from .relay_host import RelayHost
from .relay_session import (
    RelaySession,
    is_ip_address,
    is_port_shortage,
    read_dtls_port,
    read_ports,
    read_side,
)

MAX_WAITING: Final = 8_192
"""Commands that may wait: two seconds' worth of a busy relay. Beyond, new sessions are refused."""
GATE: Final = "gate"
GATE_PAYLOAD_TYPE: Final = 99
"""A payload type RTPProxy has no packet size for: its player sends nothing, but holds the gate shut."""
DEFAULT_PAYLOAD_TYPES: Final = f"{PCMU},{PCMA}"
OPENING: Final = f"z20c{DEFAULT_PAYLOAD_TYPES}"
"""Modifiers: packets of 20 ms, and the codecs that are in our offers."""
NOWHERE: Final = "127.0.0.1 9"
"""Where a side is said to be until it is known. A side that has no address at all would be tied to the
first sender for good: early media of a device that loses the race, or a packet before its SDP is read."""
MIN_PLAY_S: Final = 0.2
"""Some phones (baresip 1.0) do not notice a new source while their jitter buffer still fills, and then take
all that follows for late packets: what is played to a side is played for longer than that, or not at all."""
UPDATE_WINDOW_S: Final = 10.0
"""RTPProxy ties a side to nobody for so long after it was told an address. If the one who leaves a side still
sends when it is told of the one who comes within that time, it takes the former for the latter, for good."""
HANDOVER_S: Final = 0.5
"""So it is then told so much later: the newcomer has sent by itself and has taken the side, or, if it is
mute, the other's last packets (it hangs up, or lost a race) have come."""
FOR_EVER: Final = -1
RETRY_S: Final = 2 * BELL_DELAY_S
OPEN_ATTEMPTS: Final = 3
"""RTPProxy looks for free ports in random order and may miss the last few, or their sockets linger."""
DTLS: Final = "M4:1"
ICE: Final = "M5:1"
"""Modules of RTPProxy in sub-commands: S makes our side, A or P tells of an active or passive peer, C of one
of its candidates, D takes it back. Their numbers are fixed (4 is dtls_gw, 5 ice_lite)."""
STATISTICS: Final = "rtpa_nrcvd rtpa_nlost rtpa_javg"

_log = structlog.get_logger("offhook.media")


class RtpIoRelay:
    """MediaRelay by rtp.io. `media_folder` holds the raw files of PreparedMedia and must be writable.

    bind_address is an IPv4 address, 0.0.0.0 for all; bind_address_6 serves the sides that are opened for
    IPv6. The advertised one stands in SDP. Raises ValueError if the port range is too small.
    """

    def __init__(
        self,
        media_folder: Path,
        *,
        bind_address: str = "127.0.0.1",
        bind_address_6: str = "",
        advertised_address: str = "",
        ports: tuple[int, int] = (20_000, 29_999),
    ) -> None:
        self._folder = media_folder
        self._advertised_address = advertised_address or bind_address
        self._bind_address = bind_address
        self._bind_address_6 = bind_address_6
        self._port_min = ports[0] + ports[0] % 2  # RTP is even, RTCP the odd port above
        self._port_max = ports[1] - 1 - (ports[1] - 1) % 2
        if self.capacity < 1:
            raise ValueError(f"media ports {ports[0]}-{ports[1]}: a session needs eight")
        self._sessions: dict[str, RelaySession] = {}
        self._opened = 0
        self._host = RelayHost(
            media_folder,
            bind_address,
            (self._port_min, self._port_max),
            bell=BELL_COMMAND,
            on_lost=self._lost,
        )
        self._report: ReportMediaError = _ignore
        self._bell = RelayBell(self._host, bind_address)

    @property
    def capacity(self) -> int:
        """Return how many sessions the port range holds: two pairs each, but for the bell's and a spare."""
        pairs = (self._port_max - self._port_min) // 2 + 1
        return (pairs - 2) // 2

    @property
    def process_id(self) -> int | None:
        """Return the process that carries the packets (for CPU accounting), or None while it is down."""
        return self._host.process_id

    @property
    def is_up(self) -> bool:
        """Tell whether new sessions can be opened."""
        return self._host.channel is not None

    def __len__(self) -> int:
        """Return how many sessions are open."""
        return len(self._sessions)

    # --- life ------------------------------------------------------------------------------------

    async def start(self, report: ReportMediaError) -> None:
        """Bring the relay process up and keep it up. Raises RelayLost if it does not come up."""
        self._report = report
        (self._folder / f"{GATE}.{GATE_PAYLOAD_TYPE}").touch()
        self._bell.open()
        try:
            await self._host.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the relay process and all its sessions."""
        sessions = self._take_all()
        await self._host.stop()
        for session in sessions:
            session.fail(RelayLost("stopped"))
        self._bell.close()

    def _lost(self, why: str) -> None:
        error = RelayLost(why)
        sessions = self._take_all()
        _log.error("media relay lost", why=why, sessions=len(sessions))
        for session in sessions:
            self._hand_over(session)
            if session.ports.done():
                self._report(session.session_id, error)
            else:
                session.fail(error)

    def _take_all(self) -> list[RelaySession]:
        sessions = list(self._sessions.values())
        self._sessions.clear()
        return sessions

    # --- the port --------------------------------------------------------------------------------

    async def open_leg(self, session_id: str, side: RelaySide, *, ipv6: bool = False) -> RelayPort:
        """Return the port for one side; see MediaRelay."""
        session = self._sessions.get(session_id) or self._open(session_id)
        ports = await asyncio.shield(session.ports)
        if ipv6 != (":" in ports[side].address):
            async with session.moving:
                if ipv6 != (":" in ports[side].address):
                    ports[side] = await self._move(session, side, ipv6=ipv6)
        return ports[side]

    async def _move(self, session: RelaySession, side: RelaySide, *, ipv6: bool) -> RelayPort:
        """Give a side a port of the other family in place of the one it had."""
        if ipv6 and not self._bind_address_6:
            raise MediaRefused("open", "no IPv6 address to bind")
        bound = f"[{self._bind_address_6}]" if ipv6 else self._bind_address
        modifiers, where = session.where.get(side.other, (OPENING, NOWHERE))
        command = f"L{modifiers}l{bound}n {session.token} {where} {side} {side.other}"
        number = (await self._ask(command)).partition(" ")[0]
        if not number.isdigit():
            raise MediaRefused(command, number)
        return RelayPort(self._bind_address_6 if ipv6 else self._advertised_address, int(number))

    async def secure_leg(self, session_id: str, side: RelaySide) -> DtlsPort:
        """Make a side speak DTLS-SRTP and ICE-lite; see MediaRelay."""
        session = self._sessions.get(session_id)
        if session is None:
            raise MediaRefused("secure", "an unknown session")
        known = session.dtls_ports.get(side)
        if known is not None:
            return known
        # The sub-commands work on the port that the command returns: of the side whose peer is not named.
        modifiers, where = session.where.get(side.other, (OPENING, NOWHERE))
        command = f"L{modifiers} {session.token} {where} {side} {side.other} && {DTLS} S && {ICE} S"
        reply = await self._ask(command)
        port = read_dtls_port(reply)
        if port is None:
            raise MediaRefused(command, reply)
        return session.dtls_ports.setdefault(side, port)

    def connect_leg(
        self,
        session_id: str,
        side: RelaySide,
        host: str,
        port: int,
        payload_types: Sequence[int],
        *,
        dtls: DtlsPeer | None = None,
    ) -> None:
        """Say where a side receives; see MediaRelay."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        where = f"{host} {port}" if is_ip_address(host) else "- 0"
        if dtls is not None:
            where = NOWHERE  # ICE finds out
        modifiers = (
            f"{'6' if ':' in where else ''}c{','.join(map(str, payload_types)) or DEFAULT_PAYLOAD_TYPES}"
        )
        session.payload_types[side] = payload_types or (PCMU, PCMA)
        if dtls is not None and session.dtls_peers.get(side) == dtls and session.where[side][0] == modifiers:
            return  # a new offer that changes nothing: the address that ICE has found must stay
        session.where[side] = (modifiers, where)
        encryption = _encryption(session, side, dtls)
        self._withdraw(session, side)
        if not encryption and self._is_handed_over(session, side):
            loop = asyncio.get_running_loop()
            session.telling[side] = loop.call_later(HANDOVER_S, self._tell, session, side, "")
        else:
            self._tell(session, side, encryption)

    def play(self, session_id: str, side: RelaySide, media: PreparedMedia, *, is_once: bool = False) -> None:
        """Play to a side, over and over or once; see MediaRelay."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        if not session.can_hear(side, media, self._folder):  # RTPProxy would open the gate, then refuse
            self.silence(session_id, side)
            asyncio.get_running_loop().call_soon(self._report, session_id, PlaybackFailed(media.name))
            return
        if side in session.telling:  # the player goes by what was told
            self._withdraw(session, side)
            self._tell(session, side, "")
        self._start_player(session, side, f"{media.name} session", times=1 if is_once else FOR_EVER)
        session.playing_since[side] = asyncio.get_running_loop().time()

    def silence(self, session_id: str, side: RelaySide) -> None:
        """Let a side hear nothing; see MediaRelay."""
        session = self._sessions.get(session_id)
        if session is not None:
            self._start_player(session, side, f"{GATE} {GATE_PAYLOAD_TYPE}")

    def pass_through(self, session_id: str, side: RelaySide) -> None:
        """Let a side hear the other; see MediaRelay. What has just begun to play goes on for MIN_PLAY_S."""
        session = self._sessions.get(session_id)
        if session is None or side in session.opening:
            return
        loop = asyncio.get_running_loop()
        due = session.playing_since.get(side, 0.0) + MIN_PLAY_S
        if due <= loop.time():
            self._open_gate(session, side)
        else:
            session.opening[side] = loop.call_at(due, self._open_gate, session, side)

    def join(self, session_id: str) -> None:
        """Let both hear each other; see MediaRelay."""
        self.pass_through(session_id, RelaySide.FIRST)
        self.pass_through(session_id, RelaySide.SECOND)

    def record(self, session_id: str, done: Callable[[Sequence[Path]], None]) -> None:
        """Capture a session; see MediaRelay."""
        session = self._sessions.get(session_id)
        if session is not None and session.recorded is None:
            session.recorded = done
            self._send(session_id, "R", "second first")  # what the second party says
            self._send(session_id, "R", "first second")

    async def statistics(self, session_id: str) -> SessionStatistics:
        """Return counts so far; see MediaRelay."""
        session = self._sessions.get(session_id)
        if session is None:
            raise MediaRefused("statistics", "an unknown session")
        await asyncio.shield(session.ports)
        queries = (
            f"Q {session.token} first second {STATISTICS}",
            f"Q {session.token} second first {STATISTICS}",
            f"Q {session.token} first second",
        )
        first, second, totals = [await self._ask(query) for query in queries]
        relayed, dropped = totals.split()[3:5]
        return SessionStatistics(read_side(first), read_side(second), int(relayed), int(dropped))

    def close(self, session_id: str) -> None:
        """Free both ports; see MediaRelay."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._delete(session)

    # --- addresses -------------------------------------------------------------------------------

    def _is_handed_over(self, session: RelaySession, side: RelaySide) -> bool:
        """Tell whether somebody else has had this side until now, and only since a moment ago."""
        where, at = session.told.get(side, ("", 0.0))
        is_new = asyncio.get_running_loop().time() - at < UPDATE_WINDOW_S
        return bool(where) and is_new and where != session.where[side][1]

    def _tell(self, session: RelaySession, side: RelaySide, encryption: str) -> None:
        """Tell the relay where a side receives."""
        session.telling.pop(side, None)
        if self._sessions.get(session.session_id) is not session:
            return
        modifiers, where = session.where[side]
        session.told[side] = (where, asyncio.get_running_loop().time())
        rest = f"{where} {side.other} {side}{encryption}"
        self._send(session.session_id, f"L{modifiers}", rest, unknown="0")

    def _withdraw(self, session: RelaySession, side: RelaySide) -> None:
        """What was to be told is no longer so."""
        telling = session.telling.pop(side, None)
        if telling is not None:
            telling.cancel()

    # --- gates -----------------------------------------------------------------------------------

    def _start_player(
        self, session: RelaySession, side: RelaySide, media_and_codecs: str, *, times: int = FOR_EVER
    ) -> None:
        opening = session.opening.pop(side, None)
        if opening is not None:
            opening.cancel()
        session.playing_since.pop(side, None)
        self._send(session.session_id, f"P{times}", f"{media_and_codecs} {side} {side.other}")

    def _open_gate(self, session: RelaySession, side: RelaySide) -> None:
        session.opening.pop(side, None)
        if self._sessions.get(session.session_id) is session:
            self._send(session.session_id, "S", f"{side} {side.other}")

    # --- commands --------------------------------------------------------------------------------

    def _open(self, session_id: str) -> RelaySession:
        if self._host.channel is None:
            raise RelayLost("it is not up")
        if len(self._sessions) >= self.capacity or self._host.channel.waiting > MAX_WAITING:
            raise RelayFull(len(self._sessions))
        self._opened += 1
        session = RelaySession(session_id, f"s{self._opened}", asyncio.get_running_loop().create_future())
        self._sessions[session_id] = session
        self._ask_for_ports(session)
        return session

    def _ask_for_ports(self, session: RelaySession) -> None:
        if self._host.channel is None or self._sessions.get(session.session_id) is not session:
            session.fail(RelayLost("closed while it opened"))
            return
        session.attempts += 1
        self._host.channel.send(
            f"U{OPENING} {session.token} {NOWHERE} second first && L{OPENING} {NOWHERE}",
            lambda command, reply: self._opened_or_refused(session, command, reply),
        )

    def _opened_or_refused(self, session: RelaySession, command: str, reply: str) -> None:
        numbers = read_ports(reply)
        if reply == LOST:
            session.fail(RelayLost("it gave no answer"))
        elif numbers is not None:
            if self._sessions.get(session.session_id) is session:
                self.silence(session.session_id, RelaySide.FIRST)
                self.silence(session.session_id, RelaySide.SECOND)
            ports = [RelayPort(self._advertised_address, number) for number in numbers]
            if not session.ports.done():
                session.ports.set_result(dict(zip(RelaySide, ports, strict=True)))
        elif session.attempts < OPEN_ATTEMPTS and is_port_shortage(reply):
            self._delete(session)  # the first port may have been given before the second was refused
            asyncio.get_running_loop().call_later(RETRY_S, self._ask_for_ports, session)
        else:
            if self._sessions.get(session.session_id) is session:
                self.close(session.session_id)
            full = RelayFull(len(self._sessions))
            session.fail(full if is_port_shortage(reply) else MediaRefused(command, reply))

    def _delete(self, session: RelaySession) -> None:
        if self._host.channel is not None:
            self._host.channel.send(
                f"D {session.token} second first", lambda command, reply: self._hand_over(session)
            )
            self._bell.ring_soon()

    def _hand_over(self, session: RelaySession) -> None:
        """The captures of a session are complete."""
        done, session.recorded = session.recorded, None
        if done is not None:
            done(sorted(self._host.captures.glob(f"{session.token}=*")))

    def _send(self, session_id: str, verb: str, rest: str, *, unknown: str = "E") -> None:
        """Queue a command on a session; `unknown` is the reply that says there is none such."""
        session = self._sessions.get(session_id)
        if session is None or self._host.channel is None:
            return

        def replied(command: str, reply: str) -> None:
            if reply.startswith(("E", unknown)) and self._sessions.get(session_id) is session:
                self._report(session_id, MediaRefused(command, reply))

        self._host.channel.send(f"{verb} {session.token} {rest}", replied)

    async def _ask(self, command: str) -> str:
        channel = self._host.channel
        reply = await channel.ask(command) if channel is not None else LOST
        if reply == LOST:
            raise RelayLost("it gave no answer")
        if reply.startswith("E"):
            raise MediaRefused(command, reply)
        return reply


def _encryption(session: RelaySession, side: RelaySide, dtls: DtlsPeer | None) -> str:
    """Return the sub-commands that tell the relay of a browser, or that a phone is there instead."""
    if dtls is None:
        session.dtls_peers.pop(side, None)
        return f" && {DTLS} D && {ICE} D" if session.dtls_ports.pop(side, None) else ""
    session.dtls_peers[side] = dtls
    role = "A" if dtls.is_active else "P"
    candidates = "".join(
        f" && {ICE} C {number} 1 udp {one.priority} {one.host} {one.port} typ {one.kind}"
        for number, one in enumerate(dtls.candidates, 1)
    )
    return f" && {DTLS} {role} SHA-256 {dtls.fingerprint} && {ICE} A {dtls.ufrag} {dtls.password}{candidates}"


def _ignore(_session_id: str, _error: MediaError) -> None:
    """Nobody listens before start."""
