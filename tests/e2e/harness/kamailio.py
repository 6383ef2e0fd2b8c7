"""Kamailio as the proxy in front of a registrar: it adds Path to REGISTERs and Record-Route to INVITEs."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.processes import end

from .ports import HOST, free_port, is_listening
from .waiting import wait_for

START_S: Final = 20.0
STOP_S: Final = 10.0
MODULES: Final = ("tm", "sl", "rr", "pv", "maxfwd", "path", "siputils", "textops")

_CONFIG: Final = """\
debug=2
log_stderror=yes
children=2
disable_tcp=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
alias="{host}:{port}"
{modules}
modparam("path", "use_received", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ t_relay(); }}
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
        }} else if (is_method("ACK") && t_check_trans()) {{
            t_relay();
        }} else if (!is_method("ACK")) {{
            sl_send_reply("404", "Not here");
        }}
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        add_path_received();
        $du = "sip:{host}:{registrar_port}";
        t_relay();
        exit;
    }}
    if (!is_present_hf("Route")) {{
        sl_send_reply("403", "Not from here");
        exit;
    }}
    loose_route();
    record_route();
    t_relay();
}}
"""


class Kamailio:
    """One proxy between phones and a registrar."""

    def __init__(self, folder: Path, *, registrar_port: int) -> None:
        self.port = free_port()
        self._folder = folder
        modules = "\n".join(f'loadmodule "{name}.so"' for name in MODULES)
        config = _CONFIG.format(host=HOST, port=self.port, registrar_port=registrar_port, modules=modules)
        (folder / "kamailio.cfg").write_text(config)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "kamailio.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        "kamailio",
                        "-f",
                        str(self._folder / "kamailio.cfg"),
                        "-DD",
                        "-E",
                        "-m",
                        "32",
                        "-M",
                        "4",
                    ),
                    *("-w", str(self._folder), "-Y", str(self._folder)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(
            lambda: is_listening(self.port) or self._process.poll() is not None,  # type: ignore[union-attr]
            timeout_s=START_S,
            what="Kamailio to listen",
        )
        assert self._process.poll() is None, self.log()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process, STOP_S)
        with suppress(ProcessLookupError):  # one that hung is killed, and its children would hang on
            os.killpg(self._process.pid, signal.SIGKILL)  # type: ignore[union-attr]

    def log(self) -> str:
        """Return what it printed so far."""
        return (self._folder / "kamailio.log").read_text(errors="replace")
