"""Asterisk as one process, from the tree that `fetch-asterisk` unpacks; nothing of it is installed.

Who uses it gives the files that matter (pjsip.conf, extensions.conf, manager.conf…); the rest is here.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.processes import end

START_S: Final = 30.0
"""It boots in a second on an idle machine."""
STOP_S: Final = 10.0
COMMAND_S: Final = 15.0
LOADERS: Final = ("usr/lib64/ld-linux-*.so.*", "usr/lib/ld-linux-*.so.*")
LIBRARIES: Final = "usr/lib/*-linux-gnu*"

SIP_MODULES: Final = (
    "res_timing_timerfd", "res_sorcery_config", "res_sorcery_memory", "res_sorcery_astdb", "res_pjproject",
    "res_http_websocket", "res_websocket_client", "res_rtp_asterisk", "res_musiconhold", "res_geolocation",
    "bridge_builtin_features", "bridge_builtin_interval_features", "bridge_holding", "bridge_native_rtp",
    "bridge_simple", "bridge_softmix", "chan_bridge_media", "codec_alaw", "codec_ulaw", "codec_gsm",
    "codec_resample", "format_gsm", "format_pcm", "format_wav", "res_pjsip", "res_pjsip_session",
    "res_pjsip_outbound_authenticator_digest", "res_pjsip_authenticator_digest",
    "res_pjsip_endpoint_identifier_ip", "res_pjsip_endpoint_identifier_user",
    "res_pjsip_endpoint_identifier_anonymous", "res_pjsip_caller_id", "res_pjsip_diversion",
    "res_pjsip_dtmf_info", "res_pjsip_header_funcs", "res_pjsip_logger", "res_pjsip_nat",
    "res_pjsip_outbound_registration", "res_pjsip_pubsub", "res_pjsip_refer", "res_pjsip_registrar",
    "res_pjsip_rfc3326", "res_pjsip_sdp_rtp", "res_pjsip_acl", "chan_pjsip", "app_dial", "app_echo",
    "app_exec", "app_originate", "app_playback", "app_playtones", "app_read", "app_senddtmf", "app_stack",
    "app_verbose", "func_callerid", "func_channel", "func_global", "func_hangupcause", "func_logic",
    "func_pjsip_endpoint", "func_strings", "func_timeout", "func_uri", "pbx_config",
)  # fmt: skip
"""What two-leg calls need, in the order of dependence: the whole set takes seconds to load."""

_FILES: Final = {
    "acl.conf": "",
    "ccss.conf": "[general]\n",
    "cdr.conf": "[general]\nenable = no\n",
    "cel.conf": "[general]\nenable = no\n",
    "features.conf": "[general]\n",
    "geolocation.conf": "",
    "http.conf": "[general]\nenabled = no\n",
    "indications.conf": "[general]\ncountry = us\n[us]\ndescription = US\nringcadence = 2000,4000\n"
    "ring = 440+480/2000,0/4000\nbusy = 480+620/500,0/500\ncongestion = 480+620/250,0/250\n",
    "logger.conf": "[general]\n[logfiles]\nmessages = notice,warning,error\n",
    "manager.conf": "[general]\nenabled = no\n",
    "musiconhold.conf": "[general]\n",
    "pjproject.conf": "",
    "stasis.conf": "[general]\n",
    "udptl.conf": "[general]\n",
    "websocket_client.conf": "",
}


def tree() -> Path:
    """Return where fetch-asterisk puts the program: $ASTERISK_TREE, or .peers/asterisk beside tests."""
    chosen = os.environ.get("ASTERISK_TREE")
    return Path(chosen) if chosen else Path(__file__).resolve().parents[2] / ".peers" / "asterisk"


def is_here() -> bool:
    """Tell whether there is a tree to run from."""
    return sys.platform == "linux" and os.access(tree() / "usr" / "sbin" / "asterisk", os.X_OK)


class Asterisk:
    """One Asterisk with its configuration, sockets and logs in `folder`. Needs no root and no container.

    files are configuration files by name; rtp is the first and last media port; modules are loaded after
    SIP_MODULES, by name without `.so`.
    """

    def __init__(
        self, folder: Path, files: Mapping[str, str], *, rtp: tuple[int, int], modules: Iterable[str] = ()
    ) -> None:
        self.folder = folder.resolve()
        self._tree = tree().resolve()
        self._process: subprocess.Popen[bytes] | None = None
        media = f"[general]\nrtpstart = {rtp[0]}\nrtpend = {rtp[1]}\nrtpchecksums = no\nicesupport = no\n"
        own = {"asterisk.conf": self._directories(), "modules.conf": _modules(modules), "rtp.conf": media}
        for name in ("etc", "var", "spool", "run", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        for name, text in {**_FILES, **own, **files}.items():
            (self.folder / "etc" / name).write_text(text)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    def start(self) -> None:
        """Start it and return when it takes calls. Raises AssertionError if it does not."""
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                [*self._program(), "-f", "-q"], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        deadline = time.monotonic() + START_S
        while "fully booted" not in self.command("core waitfullybooted"):
            running = self._process.poll() is None and time.monotonic() < deadline
            assert running, f"asterisk did not come up:\n{self.log()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        end(self._process, STOP_S)

    def command(self, line: str) -> str:
        """Run a command of its console, such as `core show channels concise`; return what it prints."""
        asked = subprocess.run(
            [*self._program(), "-rx", line], capture_output=True, timeout=COMMAND_S, check=False
        )
        return asked.stdout.decode(errors="replace")

    def channels(self) -> list[str]:
        """Return its live channels, one line each."""
        return [line for line in self.command("core show channels concise").splitlines() if "!" in line]

    def log(self) -> str:
        """Return what it printed and logged so far."""
        files = (self.folder / "out", self.folder / "log" / "messages")
        return "\n".join(file.read_text(errors="replace") for file in files if file.exists())

    def _program(self) -> list[str]:
        """Return the command that runs it with the loader and the libraries of its tree."""
        loader = next(found for pattern in LOADERS for found in sorted(self._tree.glob(pattern)))
        libraries = ":".join(str(found) for found in sorted(self._tree.glob(LIBRARIES)))
        program = str(self._tree / "usr/sbin/asterisk")
        return [
            str(loader),
            "--library-path",
            libraries,
            program,
            "-C",
            str(self.folder / "etc/asterisk.conf"),
        ]

    def _directories(self) -> str:
        modules = next(iter(sorted(self._tree.glob("usr/lib/*/asterisk/modules"))))
        of_folder = {"etc": "etc", "var": "varlib", "spool": "spool", "run": "run", "log": "log"}
        lines = [f"ast{name}dir => {self.folder / own}" for own, name in of_folder.items()]
        lines += [f"ast{name}dir => {self.folder / 'var'}" for name in ("db", "key", "agi")]
        lines += [f"astmoddir => {modules}", f"astdatadir => {self._tree / 'usr/share/asterisk'}"]
        most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        options = f"maxfiles = {most_files}\nnocolor = yes\ndocumentation_language = en_US\n"
        return "[directories]\n" + "\n".join(lines) + f"\n[options]\n{options}"


def _modules(more: Iterable[str]) -> str:
    loads = "".join(f"load = {name}.so\n" for name in (*SIP_MODULES, *more))
    return f"[modules]\nautoload = no\n{loads}"
