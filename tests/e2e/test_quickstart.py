"""The quickstart of the README does what it says, word for word but for the ports."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .harness.ports import HOST, free_block, free_port
from .harness.waiting import wait_for

README = Path(__file__).parents[2] / "README.md"
TALK_S = 8
"""The phones hang up after five seconds."""


@pytest.mark.needs("bash", "curl", "jq", "openssl")
def test_quickstart_ends_in_a_connected_call(tmp_path: Path) -> None:
    http_port, sip_port, media = free_port(), free_port(), free_block(100)
    [script] = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    script = script.replace("127.0.0.1:8000", f"{HOST}:{http_port}")
    script = script.replace(f"--server {HOST}", f"--server {HOST}:{sip_port}")
    history = (
        'curl -s -H "X-Auth-Token: $(echo "$login" | jq -r .auth_token)" "$a/clicktocall/$button/history"'
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OFFHOOK_HTTP_PORT": str(http_port),
        "OFFHOOK_SIP_PORT": str(sip_port),
        "OFFHOOK_MEDIA_PORTS": f"{media}-{media + 99}",
    }
    log = tmp_path / "quickstart.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"{script}\nsleep {TALK_S}; {history}; wait"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(lambda: '"result"' in log.read_text(), timeout_s=40, what="the history")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
    told = log.read_text()
    assert '"result":"success"' in told
    assert told.count("hearing 440 Hz") == 2
