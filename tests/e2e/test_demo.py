"""The main job as a newcomer sees it: `offhook demo`."""

import subprocess
import sys


def test_demo_joins_both_parties_and_says_so() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "offhook", "demo"], capture_output=True, text=True, timeout=90, check=False
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert demo.stdout.count("✓") == 7
    assert "✗" not in demo.stdout
    for words in (
        "HTTP 202",
        "Alice hears ringback",
        "Bob hears 700 Hz",
        "200 OK (BYE)",
        "outcome: connected",
    ):
        assert words in demo.stdout
