"""The process of an engine worker: `python -m offhook.bootstrap.worker DESCRIPTOR`, started by a node."""

import asyncio
import signal
import sys
from collections.abc import Callable

import msgspec
import uvloop

from offhook.engines.embedded import EmbeddedEngine
from offhook.engines.embedded.password_guard import PasswordGuard
from offhook.engines.embedded.probes import OnlyProbes
from offhook.engines.workers import Begin, EngineWorker
from offhook.logs import configure_logs
from offhook.settings import Settings
from offhook.system import SystemClock, SystemRandom, relax_garbage_collection

from .engine import SipParts


def build(begin: Begin) -> tuple[EmbeddedEngine, Callable[[], tuple[str, int]]]:
    """Return the engine of a worker, and what tells its SIP address once it is started. Raises OSError."""
    settings = msgspec.json.decode(begin.settings, type=Settings)
    if begin.sip_port:
        settings = msgspec.structs.replace(settings, sip_port=begin.sip_port)
    configure_logs(settings.log_level)
    clock = SystemClock()
    parts = SipParts(settings, clock, SystemRandom(), number=begin.number)
    endpoint = parts.endpoint(parts.gate(PasswordGuard(), None))
    engine = parts.engine(endpoint, OnlyProbes(parts.core, clock), begin.secret)
    relax_garbage_collection()
    return engine, lambda: endpoint.address


def main() -> None:
    """Serve the node on a descriptor until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the node drains its calls first, then tells us
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(EngineWorker(build).run(int(sys.argv[1])))


if __name__ == "__main__":
    main()
