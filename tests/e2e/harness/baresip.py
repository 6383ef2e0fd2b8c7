"""baresip as a phone that registers, answers by itself, plays a tone and records what it hears."""

import json
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.processes import end

from .ports import HOST, SINGLES, free_block, free_port, is_listening
from .tones import contains_tone, read_wav, write_wav
from .waiting import wait_for

STOP_S: Final = 5.0
TONE_S: Final = 60
"""Longer than any call in these tests: baresip stops to send when its file ends."""
RTP_PORTS: Final = 10
MODULES: Final = Path("/usr/lib/baresip/modules")


class Baresip:
    """One baresip process with one account; with registrar_port 0 it does not register.

    It has no sound card: it plays a file, and its sndfile module records what it decodes.
    """

    def __init__(
        self,
        folder: Path,
        *,
        username: str,
        password: str,
        realm: str,
        registrar_port: int,
        tone_hz: float,
        transport: str = "udp",
        answers: bool = True,
    ) -> None:
        """answers: it picks up at once; False: it rings."""
        self.port = free_port()
        self._realm = realm
        self._control_port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        registrar = f"sip:{HOST}:{registrar_port};transport={transport}"
        tone = folder / "tone.wav"
        write_wav(tone, tone_hz, seconds=TONE_S)
        (folder / "contacts").touch()
        (folder / "config").write_text(self._config())
        account = {
            "auth_user": username,
            "auth_pass": password,
            "outbound": f'"{registrar}"',
            "regint": 60 if registrar_port else 0,
            "answermode": "auto" if answers else "manual",
            "audio_codecs": "PCMU/8000/1",
            "audio_source": f"aufile,{tone}",
        }
        parameters = ";".join(f"{name}={value}" for name, value in account.items())
        (folder / "accounts").write_text(f"<sip:{username}@{realm};transport={transport}>;{parameters}\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it takes commands; it then registers by itself."""
        with (self._folder / "baresip.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["baresip", "-4", "-f", str(self._folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: is_listening(self._control_port), timeout_s=5, what="baresip to take commands")

    def stop(self) -> None:
        """End it; it takes back its registration."""
        end(self._process, STOP_S)

    def dial(self, number: str) -> None:
        """Dial a number of its own realm."""
        self.command("dial", f"sip:{number}@{self._realm}")

    def hang_up(self) -> None:
        """Press the red button."""
        self.command("hangup")

    def hold(self) -> None:
        """Press hold."""
        self.command("hold")

    def resume(self) -> None:
        """Press it again."""
        self.command("resume")

    def press(self, key: str) -> None:
        """Press a key for the other end to hear."""
        self.command(f"sndcode {key}")

    def wait_until_pressed(self, key: str, *, timeout_s: float = 10.0) -> None:
        """Return once a key that was pressed at the other end has come, in RTP or INFO."""
        words = (f"received event: '{key}'", f"received DTMF: '{key}'")
        wait_for(
            lambda: any(word in self.log() for word in words),
            timeout_s=timeout_s,
            what=f"key {key} at baresip",
        )

    def has_call(self) -> bool:
        """Tell whether it has a call in any state."""
        answer = self.command("listcalls")
        return not answer or ("(no active calls)" not in answer and "Active calls (0)" not in answer)

    def command(self, command: str, params: str = "") -> str:
        """Give a command of the menu module; return what it says."""
        order = json.dumps({"command": command, "params": params, "token": "test"}).encode()
        with socket.create_connection((HOST, self._control_port), timeout=3) as connection:
            connection.sendall(b"%d:%s," % (len(order), order))
            while True:
                received = _read_netstring(connection)
                if received.get("token") == "test":
                    return str(received.get("data", ""))

    def log(self) -> str:
        """Return what it printed so far."""
        return (self._folder / "baresip.log").read_text(errors="replace")

    def has_heard(self, frequency_hz: float) -> bool:
        """Tell whether half a second of any call so far was this tone."""
        recordings = self._folder.glob("dump-*-dec.wav")
        return any(contains_tone(frequency_hz, read_wav(recording)) for recording in recordings)

    def wait_until_heard(self, frequency_hz: float, *, timeout_s: float = 5.0) -> None:
        """Return once the tone was heard. Raises AssertionError if it is not heard in time."""
        what = f"{frequency_hz:g} Hz at baresip"
        wait_for(lambda: self.has_heard(frequency_hz), timeout_s=timeout_s, what=what)

    def _config(self) -> str:
        rtp = free_block(RTP_PORTS, within=SINGLES)
        modules = ("g711", "aufile", "aubridge", "sndfile", "ctrl_tcp")
        lines = [
            f"sip_listen {HOST}:{self.port}",
            f"net_interface {HOST}",
            f"module_path {MODULES}",
            *(f"module {name}.so" for name in modules),
            "module_tmp uuid.so",
            "module_tmp account.so",
            "module_app menu.so",
            f"ctrl_tcp_listen {HOST}:{self._control_port}",
            "audio_player aubridge,nobody",
            "audio_alert aubridge,nobody",
            f"audio_source aufile,{self._folder / 'tone.wav'}",
            "ausrc_srate 8000",
            "auplay_srate 8000",
            f"snd_path {self._folder}",
            f"rtp_ports {rtp}-{rtp + RTP_PORTS - 1}",
        ]
        return "\n".join(lines) + "\n"


def _read_netstring(connection: socket.socket) -> dict[str, object]:
    length = b""
    while not length.endswith(b":"):
        length += _read_exactly(connection, 1)
    message = json.loads(_read_exactly(connection, int(length[:-1]) + 1)[:-1])
    return dict(message)


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        part = connection.recv(count - len(octets))
        if not part:
            raise ConnectionError("baresip closed its control connection")
        octets += part
    return octets
