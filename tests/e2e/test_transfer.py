"""KAZOO's documents into a server, and an installation into another folder, by command."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness import KazooClient, Server

ROOT, ACME, JANE, BUTTON = "1" * 32, "2" * 32, "3" * 32, "4" * 32
API_KEY = "b" * 64


def kazoo(type: str, id: str, account_id: str = ACME, **fields: Any) -> dict[str, Any]:
    common = {"_id": id, "pvt_type": type, "pvt_account_id": account_id, "pvt_created": 63876500000}
    return common | fields


def documents() -> list[dict[str, Any]]:
    digests = {
        "pvt_md5_auth": hashlib.md5(b"jane:correct horse").hexdigest(),
        "pvt_sha1_auth": hashlib.sha1(b"jane:correct horse").hexdigest(),
    }
    return [
        kazoo(
            "user", JANE, first_name="Jane", last_name="Doe", username="jane", priv_level="admin", **digests
        ),
        kazoo("click2call", BUTTON, name="Support", extension="1001", auth_required=False),
        kazoo("vmbox", "5" * 32, name="Voicemail"),
        kazoo("account", ROOT, ROOT, name="Root", realm="root.test", pvt_tree=[], pvt_superduper_admin=True),
        kazoo("account", ACME, name="Acme", realm="acme.test", pvt_tree=[ROOT], pvt_api_key=API_KEY),
    ]


def offhook(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("offhook")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OFFHOOK_")}
    return subprocess.run(
        [str(program), *arguments],
        env=environment | {"OFFHOOK_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    file = tmp_path / "kazoo.jsonl"
    file.write_text("".join(json.dumps(document) + "\n" for document in documents()))
    return file


def test_users_and_programs_of_kazoo_log_in_unchanged(tmp_path: Path, dump: Path) -> None:
    done = offhook(tmp_path / "data", "import", str(dump), "--report", str(tmp_path / "report.jsonl"))
    assert done.returncode == 1, done.stderr
    assert "1 not taken" in done.stderr
    report = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert report == [
        {"line": 3, "id": "5" * 32, "reason": "offhook keeps no documents of type 'vmbox'"},
    ]
    with Server(tmp_path) as server:
        client = KazooClient(server.host, server.http_port)
        client.login(API_KEY)
        assert client.account_id == ACME
        for method, digest in (("md5", hashlib.md5), ("sha", hashlib.sha1)):
            credentials = digest(b"jane:correct horse").hexdigest()
            login = {"credentials": credentials, "account_name": "acme", "method": method}
            answer = client.request("PUT", "/v2/user_auth", login, anonymous=True).expect(201)
            assert answer.data["owner_id"] == JANE
        path = f"/v2/accounts/{ACME}/clicktocall/{BUTTON}/connect"
        client.request("GET", path, query={"contact": "1002"}, anonymous=True).expect(202)
        busy = offhook(tmp_path / "data", "import", str(dump))
        assert busy.returncode == 1
        assert "stop it first" in busy.stderr


def test_export_beside_a_running_server_and_import_elsewhere(tmp_path: Path, dump: Path) -> None:
    offhook(tmp_path / "data", "import", str(dump))
    with Server(tmp_path):
        first = offhook(tmp_path / "data", "export", "--output", str(tmp_path / "backup.jsonl"))
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "backup.jsonl").stat().st_mode & 0o077 == 0
    done = offhook(tmp_path / "copy", "import", str(tmp_path / "backup.jsonl"))
    assert done.returncode == 0, done.stderr
    second = offhook(tmp_path / "copy", "export")
    assert second.stdout == (tmp_path / "backup.jsonl").read_text()


def test_faults_are_told(tmp_path: Path) -> None:
    missing = offhook(tmp_path, "import", str(tmp_path / "nothing.jsonl"))
    assert (missing.returncode, "nothing.jsonl" in missing.stderr) == (1, True)
    nothing = offhook(tmp_path, "export")
    assert (nothing.returncode, "there is no database" in nothing.stderr) == (1, True)
