"""A soft phone in a terminal: friendly lines while it runs, a recording when it ends."""

import asyncio
import contextlib
import signal
import socket
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

from rich.console import Console
from rich.markup import escape

from offhook.audio.g711 import SAMPLE_RATE
from offhook.kernel import OffhookError
from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri
from offhook.system import SystemClock, SystemRandom

from .model import (
    Answered,
    CallEnded,
    Heard,
    PhoneEvent,
    PhoneSettings,
    Registered,
    RegistrationFailed,
    Ringing,
    TransferReported,
)
from .soft_phone import SoftPhone

DEFAULT_PORT: Final = 5060


class PhoneOptionWrong(OffhookError):
    """An address on the command line cannot be used."""

    code: ClassVar[str] = "phone-option-wrong"

    def __init__(self, option: str, reason: str) -> None:
        super().__init__(option, reason)
        self.option = option
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.option}: {self.reason}"


def split_address(address: str) -> tuple[str, str]:
    """Return user and realm of `dev1@acme.example.com`, with or without `sip:`. Raises PhoneOptionWrong."""
    text = address if address.startswith(("sip:", "sips:")) else f"sip:{address}"
    try:
        uri = SipUri.parse(text)
    except RemoteMalformed as fault:
        raise PhoneOptionWrong("address", str(fault)) from None
    if not uri.user:
        raise PhoneOptionWrong("address", "no user before the @, as in dev1@acme.example.com")
    return uri.user, uri.host


async def resolve_server(server: str) -> tuple[str, int]:
    """Return IP address and port of `pbx.example.com:5060`. Raises PhoneOptionWrong."""
    try:
        uri = SipUri.parse(f"sip:{server}")
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(uri.host.strip("[]"), uri.port or DEFAULT_PORT, type=socket.SOCK_DGRAM)
    except RemoteMalformed:
        raise PhoneOptionWrong("server", "not a host, or host:port") from None
    except OSError as error:
        raise PhoneOptionWrong("server", str(error.strerror or error)) from None
    host, port = found[0][4][:2]
    return str(host), int(port)


async def run_phone(
    settings: PhoneSettings,
    *,
    record_to: Path | None = None,
    calls: int = 0,
    console: Console | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Run a phone until Ctrl-C, SIGTERM, `stop`, or `calls` calls are over (0: no limit).

    Prints a line for each event, writes what was heard to `record_to` (WAV, the calls one after the
    other), and returns the exit status: 0 if it was ever registered. Raises OSError for a taken port.
    """
    console = console or Console()
    stop = stop or asyncio.Event()
    told = _Teller(console, settings, calls, stop)
    phone = SoftPhone(settings, clock=SystemClock(), random=SystemRandom(), on_event=told.tell)
    await phone.start()
    console.print(_greeting(settings, phone.address))
    try:
        with _stopped_by_signals(stop):
            await stop.wait()
    finally:
        await phone.stop()
        console.print("phone is off")
    if record_to is not None:
        recorded = [call.stream.recorded for call in phone.calls]
        await asyncio.to_thread(write_wave, record_to, recorded)
        console.print(f"what was heard is in {escape(str(record_to))}")
    return 0 if told.was_registered else 1


def write_wave(path: Path, recordings: list["array[int]"]) -> None:
    """Write recordings one after the other as a WAV file, 16 bit, 8 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for samples in recordings:
            file.writeframes(samples.tobytes())


class _Teller:
    """Says in words what happens, and counts."""

    def __init__(self, console: Console, settings: PhoneSettings, calls: int, stop: asyncio.Event) -> None:
        self.was_registered = False
        self._console = console
        self._settings = settings
        self._calls_left = calls
        self._stop = stop

    def tell(self, event: PhoneEvent) -> None:
        """Print one line; end the phone after its last call."""
        if not isinstance(event, Registered) or not self.was_registered:  # refreshes are no news
            self._console.print(_words(event))
        if isinstance(event, Registered):
            self.was_registered = True
        elif isinstance(event, RegistrationFailed):
            self.was_registered = False
        elif isinstance(event, CallEnded):
            self._calls_left -= 1
            if self._calls_left == 0:
                self._stop.set()


def _greeting(settings: PhoneSettings, address: tuple[str, int]) -> str:
    server = f"{settings.server[0]}:{settings.server[1]}"
    who = escape(f"{settings.username}@{settings.realm}")
    return f"phone [bold]{who}[/bold] at {address[0]}:{address[1]}, server {server} ({settings.transport})"


def _words(event: PhoneEvent) -> str:
    match event:
        case Registered(expires_s):
            return f"[green]registered[/green] for {expires_s} s"
        case RegistrationFailed(status, reason):
            return f"[red]not registered[/red]: {status} {escape(reason)}; trying again"
        case Ringing(_, name, number, asks_auto_answer):
            who = f"{name} <{number}>" if name else number
            wish = ", asked to pick up by itself" if asks_auto_answer else ""
            return f"[yellow]ringing[/yellow]: {escape(who)}{wish}"
        case Answered(_, codec):
            return f"[green]answered[/green] ({codec or 'codec to come'})"
        case Heard(_, frequency_hz):
            return f"hearing {frequency_hz:g} Hz"
        case TransferReported(_, status, reason):
            return f"transfer: {status} {escape(reason)}"
        case CallEnded(_, by_peer, reason, talked_s):
            side = "the other side" if by_peer else "this side"
            return f"[yellow]over[/yellow] after {talked_s:.1f} s, ended by {side}: {escape(reason)}"


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
