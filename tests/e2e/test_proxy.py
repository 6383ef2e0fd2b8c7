"""Kamailio in front as a proxy: Path on the way in, Route and Record-Route on the way back."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .harness import Account, Baresip, Server
from .harness.kamailio import Kamailio
from .harness.waiting import wait_for

pytestmark = pytest.mark.needs("kamailio", "baresip")

PATIENCE_S = 20.0
LOW_HZ, HIGH_HZ = 440.0, 1000.0


@pytest.fixture
def proxy(server: Server, tmp_path: Path) -> Iterator[Kamailio]:
    folder = tmp_path / "kamailio"
    folder.mkdir()
    with Kamailio(folder, registrar_port=server.sip_port) as running:
        yield running


@pytest.fixture
def phones(proxy: Kamailio, account: Account, tmp_path: Path) -> Iterator[tuple[Baresip, Baresip]]:
    """Extensions 1001 and 1002, which know only the proxy."""
    with ExitStack() as running:
        started = []
        for number, tone_hz in (("1001", LOW_HZ), ("1002", HIGH_HZ)):
            account.create_extension(number, account.create_phone(f"phone{number}", f"secret-{number}"))
            folder = tmp_path / number
            folder.mkdir()
            phone = Baresip(
                folder,
                username=f"phone{number}",
                password=f"secret-{number}",
                realm=account.realm,
                registrar_port=proxy.port,
                tone_hz=tone_hz,
            )
            started.append(running.enter_context(phone))
        account.wait_registered("phone1001", "phone1002")
        yield started[0], started[1]


@pytest.mark.parametrize("by", ["api", "phone"])
def test_phones_behind_a_proxy_talk(
    by: str, phones: tuple[Baresip, Baresip], proxy: Kamailio, account: Account
) -> None:
    low, high = phones
    call_id = account.connect(account.create_button("1001"), "1002")
    low.wait_until_heard(HIGH_HZ, timeout_s=PATIENCE_S)
    high.wait_until_heard(LOW_HZ, timeout_s=PATIENCE_S)
    if by == "api":
        account.hang_up(call_id)
    else:
        high.hang_up()
    outcome = account.wait_for_outcome(call_id)
    assert outcome["outcome"] == "connected"
    wait_for(lambda: not low.has_call() and not high.has_call(), timeout_s=PATIENCE_S, what="idle phones")
    peers = {step["peer"] for step in account.get("calls", call_id, "timeline") if step["what"] == "sip"}
    assert peers == {f"udp:127.0.0.1:{proxy.port}"}, "something went past the proxy"
