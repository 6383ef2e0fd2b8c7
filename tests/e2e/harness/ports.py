"""Free ports on loopback, given out once until they are given back, to one test process of a machine only."""

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"

SINGLES: Final = range(10_000, 20_000)
_LARGE_BLOCKS: Final = range(20_000, 29_000)
_SMALL_BLOCKS: Final = range(29_000, 32_000)
"""All below 32768, where Linux takes ports for outgoing connections. Small blocks lie apart: scattered among
the large ones they would leave no thousand ports in a row."""
LARGE: Final = 200

STEP: Final = 20
TRIES: Final = 300

_seed = random.Random(os.getpid())
_given: set[int] = set()
_claims: Final = os.open(
    Path(tempfile.gettempdir(), f"offhook-test-ports-{os.getuid()}"), os.O_RDWR | os.O_CREAT, 0o600
)
"""An empty file. A lock on its octet n claims port n, which a server or phone binds only later: no other test
process takes it before this one ends."""


def free_port() -> int:
    """Return a port that is free for UDP and TCP."""
    return free_block(1, within=SINGLES)


def free_rtp_port() -> int:
    """Return an even port whose three neighbours are free too (RTCP, and SIPp's video echo)."""
    return free_block(4, within=SINGLES)


def free_block(size: int, *, within: range | None = None) -> int:
    """Return the first of `size` free ports in a row; even if size is."""
    within = within or (_LARGE_BLOCKS if size >= LARGE else _SMALL_BLOCKS)
    starts = range(within.start, within.stop - size, min(size, STEP))
    tries = _seed.sample(starts, min(TRIES, len(starts)))  # at random first: other processes take ports too
    for start in (*tries, *starts):
        block = range(start, start + size)
        if _given.isdisjoint(block) and all(_is_free(port) for port in block) and _claim(block):
            _given.update(block)
            return start
    raise RuntimeError(f"no {size} free ports in a row in {within}")


def _claim(block: range) -> bool:
    try:
        fcntl.lockf(_claims, fcntl.LOCK_EX | fcntl.LOCK_NB, len(block), block.start)
    except OSError:
        return False
    return True


def _is_free(port: int, host: str = HOST) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def give_back(block: range) -> None:
    """Let ports be given out again, once their owner has ended."""
    _given.difference_update(block)
    fcntl.lockf(_claims, fcntl.LOCK_UN, len(block), block.start)


def is_listening(port: int, host: str = HOST) -> bool:
    """Tell whether some process has the port, for UDP or TCP."""
    return not _is_free(port, host)
