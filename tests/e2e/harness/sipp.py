"""SIPp as the far end of a call, in the background, with its verdict on us."""

import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .ports import HOST, free_port, free_rtp_port, is_listening
from .rtp import RtpEndpoint
from .scenario import Scenario
from .waiting import wait_for

STOP_S: Final = 5.0

_SEPARATOR: Final = re.compile(r"^-{30,}.*$", re.MULTILINE)
_ENTRY: Final = re.compile(r"^(?:UDP|TCP) message (received|sent) .*?:\s*\n", re.MULTILINE)
_CALL_ID: Final = re.compile(r"^Call-ID:\s*(\S+)", re.MULTILINE | re.IGNORECASE)
_METHOD: Final = re.compile(r"^CSeq:\s*\d+ (\w+)", re.MULTILINE | re.IGNORECASE)
_AUDIO: Final = re.compile(r"^c=IN IP4 (\S+)\r?\n.*?^m=audio (\d+) ", re.MULTILINE | re.DOTALL)


class Sipp:
    """One SIPp process: a far end that takes `calls` calls and plays its scenario on each.

    `folder` is its own; it finds there the scenario, the messages and the errors.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        *,
        calls: int = 1,
        transport: str = "udp",
        lost_percent: int = 0,
        media: RtpEndpoint | None = None,
        calling: str = "",
        is_forgetful: bool = False,
        host: str = HOST,
        login: tuple[str, str] = ("", ""),
    ) -> None:
        """is_forgetful: it takes what comes after the end of a call for a new one; else it says nothing.

        calling is the address it calls, if it does; host is its own; login what it answers challenges with.
        """
        self.scenario = scenario
        self.host = host
        self.port = free_port()
        self.uri = f"sip:far@{HOST}:{self.port}" + (";transport=tcp" if transport == "tcp" else "")
        self._media = media
        self._folder = folder
        self._command = self._build_command(calls, transport, lost_percent, calling)
        if login[0]:
            self._command += ["-au", login[0], "-ap", login[1]]
        if is_forgetful:
            self._command += ["-deadcall_wait", "0"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it listens."""
        with (self._folder / "sipp.out").open("wb") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_for(
            lambda: is_listening(self.port, self.host) or self._exit_code() is not None,
            timeout_s=5,
            what=f"sipp '{self.scenario.name}' to listen",
        )
        if self._exit_code() not in (None, 0):
            raise RuntimeError(f"sipp does not take its scenario:\n{self.report()}")

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.kill()
        self._process.wait(STOP_S)

    def finish(self, *, timeout_s: float) -> None:
        """Take no more calls and return once every one went as demanded. Raises AssertionError if not."""
        self._running().send_signal(signal.SIGUSR1)
        self.assert_clean(timeout_s=timeout_s)

    def assert_clean(self, *, timeout_s: float = 10.0) -> None:
        """Return once every call went as the scenario demands. Raises AssertionError with its log if not."""
        process = self._running()
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a call is left at the far end:\n{self.report()}") from None
        assert code == 0, f"the far end objects (exit {code}):\n{self.report()}"

    def received(self, start: str = "") -> list[str]:
        """Return the messages it received whose first line begins so, in order."""
        return [
            text for direction, text in self._messages() if direction == "received" and text.startswith(start)
        ]

    def sent(self, start: str = "") -> list[str]:
        """Return the messages it sent whose first line begins so, in order."""
        return [
            text for direction, text in self._messages() if direction == "sent" and text.startswith(start)
        ]

    def wait_received(self, start: str, *, timeout_s: float = 10.0) -> str:
        """Return the first such message once it is there."""
        found = wait_for(
            lambda: self.received(start), timeout_s=timeout_s, what=f"{start} at sipp '{self.scenario.name}'"
        )
        return found[0]

    def legs_left(self) -> list[str]:
        """Return the Call-IDs of legs that were not ended: by BYE if answered, else by a refusal and its ACK.

        Read from its log, whatever SIPp itself thinks of messages that meet it between two steps.
        """
        seen: dict[str, set[str]] = {}
        for way, text in self._messages():
            call_id, method = _CALL_ID.search(text), _METHOD.search(text)
            if call_id and method:
                status = text.split()[1] if text.startswith("SIP/2.0") else ""
                seen.setdefault(call_id[1], set()).add(f"{way} {method[1]} {status}".strip())
        return [
            call_id
            for call_id, events in seen.items()
            if "received INVITE" in events
            and not events >= {"received ACK"} | ({"received BYE"} if "sent INVITE 200" in events else set())
        ]

    def offered_audio(self, *, timeout_s: float = 10.0) -> tuple[str, int]:
        """Return where the INVITE's offer wants RTP."""
        return self._audio_of("INVITE", timeout_s)

    def answered_audio(self, *, timeout_s: float = 10.0) -> tuple[str, int]:
        """Return where the answer to its own INVITE wants RTP."""
        return self._audio_of("SIP/2.0 200", timeout_s)

    def acknowledged_audio(self, *, timeout_s: float = 10.0) -> tuple[str, int]:
        """Return where an answer that came in the ACK wants RTP."""
        return self._audio_of("ACK", timeout_s)

    def lost(self) -> int:
        """Return how many messages it dropped on purpose."""
        return (self._folder / "messages.log").read_text(errors="replace").count(" lost (")

    def report(self) -> str:
        """Return what a person needs to see why it went wrong."""
        errors = self._folder / "errors.log"
        dialogue = "\n".join(
            f"  {way:8} {text.splitlines()[0]}" for way, text in self._messages() if text.strip()
        )
        return f"scenario '{self.scenario.name}'\n{dialogue}\n{errors.read_text() if errors.exists() else ''}"

    def _audio_of(self, start: str, timeout_s: float) -> tuple[str, int]:
        found = _AUDIO.search(self.wait_received(start, timeout_s=timeout_s))
        assert found, f"the {start} carries no audio"
        return found[1], int(found[2])

    def _build_command(self, calls: int, transport: str, lost_percent: int, calling: str) -> list[str]:
        own_media = free_rtp_port()
        audio = self._media.port if self._media else own_media
        command = ["sipp", *([calling] if calling else [])]
        command += ["-sf", str(self.scenario.write(self._folder)), "-i", self.host, "-p", str(self.port)]
        command += ["-t", {"udp": "u1", "tcp": "t1"}[transport], "-m", str(calls), "-nostdin"]
        command += ["-mi", self.host, "-mp", str(own_media), "-key", "audio_port", str(audio)]
        command += ["-trace_msg", "-message_file", "messages.log", "-trace_err", "-error_file", "errors.log"]
        if lost_percent:
            command += ["-lost", str(lost_percent)]
        if not self._media:
            command += ["-rtp_echo"]
        return command

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("sipp was not started")
        return self._process

    def _exit_code(self) -> int | None:
        return self._running().poll()

    def _messages(self) -> list[tuple[str, str]]:
        log = self._folder / "messages.log"
        if not log.exists():
            return []
        entries = _SEPARATOR.split(log.read_text(errors="replace"))
        found = [(entry, _ENTRY.search(entry)) for entry in entries]
        return [(match[1], entry[match.end() :].lstrip("\r\n")) for entry, match in found if match]
