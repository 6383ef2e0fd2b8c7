"""Ending the programs that tests start."""

import subprocess


def end(process: "subprocess.Popen[bytes] | None", within_s: float) -> None:
    """Ask a process to end, and kill it if it does not in time. Harmless if there is none."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(within_s)
