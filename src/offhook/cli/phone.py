"""`offhook phone`: options to settings, settings to a running phone."""

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

import uvloop

from offhook.phone import Answering, PhoneOptionWrong, PhoneSettings, resolve_server, run_phone, split_address


class PhoneOptions(NamedTuple):
    """What stood on the command line."""

    address: str
    password: str
    server: str
    transport: str
    host: str
    port: int
    answer: str
    answer_after: float
    hang_up_after: float
    auto_answer: bool
    tone: float
    listen: float
    record: Path | None
    calls: int


def run(options: PhoneOptions) -> int:
    """Run the phone; return the exit status."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(options))
    except (PhoneOptionWrong, OSError) as error:
        print(f"offhook phone: {error}", file=sys.stderr)
        return 1


async def _run(options: PhoneOptions) -> int:
    username, realm = split_address(options.address)
    settings = PhoneSettings(
        username=username,
        password=options.password,
        realm=realm,
        server=await resolve_server(options.server or realm),
        transport=options.transport,
        host=options.host,
        port=options.port,
        answering=Answering(options.answer),
        answer_after_s=options.answer_after,
        hang_up_after_s=options.hang_up_after,
        auto_answer=options.auto_answer,
        tone_hz=options.tone,
        listen_for_hz=(options.listen,),
    )
    return await run_phone(settings, record_to=options.record, calls=options.calls)
