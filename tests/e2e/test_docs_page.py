"""The API's description in a real browser, which reaches nothing but the server."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path

import pytest

from .harness import Server

BROWSER_S = 90.0

SEEN = re.compile(r"<details[^>]*>\s*<summary>")


def dump(url: str, profile: Path) -> tuple[str, list[str]]:
    """Return the page as the browser has it, and what its console says."""
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--no-first-run", "--disable-background-networking", "--enable-logging=stderr",
         f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
         "--dump-dom", url],
        capture_output=True, text=True, timeout=BROWSER_S, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.needs("chromium")
def test_the_page_lists_every_operation_and_needs_no_network(server: Server, tmp_path: Path) -> None:
    base = f"http://{server.host}:{server.http_port}"
    with urllib.request.urlopen(f"{base}/openapi.json", timeout=10) as answer:
        described = json.load(answer)
    page, console = dump(f"{base}/docs", tmp_path)
    assert console == []
    operations = [operation for item in described["paths"].values() for operation in item.values()]
    missing = [one["operationId"] for one in operations if f'id="{one["operationId"]}"' not in page]
    assert missing == []
    assert len(SEEN.findall(page)) == len(operations) + len(described["components"]["schemas"])
    assert "&lt;" not in page.partition("</style>")[0]
    opened, console = dump(f"{base}/docs#schema-Device", tmp_path)
    assert console == []
    assert opened.count("<details open") == 1  # a link into what is folded unfolds it
