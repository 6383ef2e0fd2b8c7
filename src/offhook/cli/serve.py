"""`offhook serve`: one node from start to a drained end."""

import asyncio
import signal
import sys

import structlog
import uvloop

from offhook.bootstrap import Node, build_node
from offhook.kernel import OffhookError
from offhook.logs import configure_logs
from offhook.settings import Settings
from offhook.system import relax_garbage_collection

_log = structlog.get_logger("offhook")


def run_server(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    configure_logs(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(settings))


async def _serve(settings: Settings) -> int:
    node = build_node(settings)
    try:
        await node.start()
    except (OSError, OffhookError) as error:
        print(f"offhook: cannot start: {error}", file=sys.stderr)
        await node.stop()
        return 1
    _announce(node, settings)
    relax_garbage_collection()
    signals = _signals_to_stop()
    await signals.acquire()
    _log.info("draining", live_calls=node.calls.count(), bound_s=settings.drain_s)
    if not await _drain(node, settings.drain_s, signals):
        _log.warning("live calls are ended now", live_calls=node.calls.count())
    await node.stop()
    _log.info("stopped")
    return 0


def _announce(node: Node, settings: Settings) -> None:
    """Print what a person needs to begin; the API key only when it was made just now."""
    master = node.master
    if master.created:
        print(f"master account  {master.account_id}")
        made = f"{master.api_key}   (shown once; keep it)"
        print(f"API key         {'as in OFFHOOK_MASTER_API_KEY' if settings.master_api_key else made}")
    host, port = node.http_address
    print(f"API             {'https' if settings.http_tls_cert else 'http'}://{host}:{port}/v2/")
    tls = f", TLS on {settings.sip_tls_port}" if settings.sip_tls_port else ""
    print(f"SIP             {node.sip_address[0]}:{node.sip_address[1]} (UDP and TCP{tls})", flush=True)
    for worker in node.workers.hosts if node.workers is not None else ():
        print(f"SIP worker {worker.number:<4} {worker.sip_address[0]}:{worker.sip_address[1]}", flush=True)


def _signals_to_stop() -> asyncio.Semaphore:
    """Return a count of SIGTERMs and SIGINTs: the first drains, the second ends the calls."""
    loop, signals = asyncio.get_running_loop(), asyncio.Semaphore(0)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.release)
    return signals


async def _drain(node: Node, bound_s: float, signals: asyncio.Semaphore) -> bool:
    """Return True once no call is left; False at the bound, or as soon as a second signal comes."""
    draining = asyncio.create_task(node.calls.drain(bound_s), name="drain")
    second = asyncio.create_task(signals.acquire(), name="second signal")
    await asyncio.wait((draining, second), return_when=asyncio.FIRST_COMPLETED)
    is_drained = draining.done() and draining.result()
    for task in (draining, second):
        task.cancel()
    return is_drained
