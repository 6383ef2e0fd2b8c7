"""A phone in a browser: JsSIP over WSS, DTLS-SRTP, joined with a desk phone; audio checked by content."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Account, Baresip, KazooClient, Server
from .harness.browser import Browser
from .harness.certificates import self_signed
from .harness.jssip import JsSipPhone
from .harness.waiting import wait_for
from .test_inbound import ended_call

pytestmark = pytest.mark.needs("chromium", "npm", "openssl", "baresip")

MICROPHONE_HZ = 600.0
DESK_HZ = 1000.0
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with TLS on its HTTP port, hence WSS."""
    folder = tmp_path_factory.mktemp("server")
    with Server(folder, certificate=self_signed(folder, "http")) as running:
        yield running


@pytest.fixture(scope="module")
def master(server: Server) -> KazooClient:
    client = KazooClient(server.host, server.http_port, server.tls)
    client.login(server.api_key)
    return client


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser"), tone_hz=MICROPHONE_HZ) as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Server, account: Account, tmp_path: Path) -> JsSipPhone:
    """Extension 1001, registered from the browser."""
    device_id = account.create_phone("browser1", "browser-secret")
    account.create_extension("1001", device_id)
    phone = JsSipPhone.open(
        browser,
        tmp_path,
        url=f"wss://{server.host}:{server.http_port}/sip",
        username="browser1",
        password="browser-secret",
        realm=account.realm,
    )
    phone.wait_for_state("registered", timeout_s=PATIENCE_S)
    return phone


@pytest.fixture
def desk(server: Server, account: Account, tmp_path: Path) -> Iterator[Baresip]:
    """Extension 1002, a desk phone."""
    account.create_extension("1002", account.create_phone("desk1", "desk-secret"))
    folder = tmp_path / "desk"
    folder.mkdir()
    with Baresip(
        folder,
        username="desk1",
        password="desk-secret",
        realm=account.realm,
        registrar_port=server.sip_port,
        tone_hz=DESK_HZ,
    ) as phone:
        wait_for(lambda: "desk1" in account.registered(), timeout_s=PATIENCE_S, what="the desk phone")
        yield phone


@pytest.mark.parametrize("first", ["browser", "desk"])
def test_browser_and_desk_phone_talk(first: str, page: JsSipPhone, desk: Baresip, account: Account) -> None:
    numbers = ("1001", "1002") if first == "browser" else ("1002", "1001")
    call_id = account.connect(account.create_button(numbers[0]), numbers[1])
    page.wait_for_state("confirmed")
    page.wait_until_hears(DESK_HZ)
    desk.wait_until_heard(MICROPHONE_HZ, timeout_s=PATIENCE_S)
    page.hang_up()
    outcome = account.wait_for_outcome(call_id)
    assert outcome["outcome"] == "connected"
    wait_for(lambda: not desk.has_call(), timeout_s=PATIENCE_S, what="an idle desk phone")


def test_page_that_is_closed_is_no_longer_registered(page: JsSipPhone, account: Account) -> None:
    assert account.registered() == ["browser1"]
    page.evaluate("phone.ua.transport.disconnect()")
    wait_for(lambda: account.registered() == [], timeout_s=PATIENCE_S, what="browser1 to be gone")
    call = account.wait_for_outcome(account.connect(account.create_button("1001"), "1002"))
    assert (call["outcome"], call["hangup_cause"]) == ("unreachable", "USER_NOT_REGISTERED")


def test_browser_calls_in(page: JsSipPhone, desk: Baresip, account: Account) -> None:
    page.call("1002")
    page.wait_for_state("confirmed")
    page.wait_until_hears(DESK_HZ)
    desk.wait_until_heard(MICROPHONE_HZ, timeout_s=PATIENCE_S)
    desk.hang_up()
    page.wait_for_state("ended")
    call = ended_call(account)
    assert (call["outcome"], call["by"]) == ("connected", "contact")


def test_browser_holds_and_takes_back(page: JsSipPhone, desk: Baresip, account: Account) -> None:
    call_id = account.connect(account.create_button("1002"), "1001")
    page.wait_for_state("confirmed")
    page.wait_until_hears(DESK_HZ)
    assert page.evaluate("new Promise(done => phone.session.hold({}, () => done(true)) || done(false))")
    wait_for(lambda: not page.hears(DESK_HZ), timeout_s=PATIENCE_S, what="silence in the browser")
    assert page.evaluate("new Promise(done => phone.session.unhold({}, () => done(true)) || done(false))")
    page.wait_until_hears(DESK_HZ)
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"


@pytest.mark.parametrize("numbers", [("1001", "1002"), ("1002", "1001")])
def test_bypass_falls_back_to_the_relay(
    numbers: tuple[str, str], page: JsSipPhone, desk: Baresip, account: Account
) -> None:
    """A desk phone cannot take a browser's media as it is, nor the reverse."""
    call_id = account.connect(account.create_button(numbers[0], bypass_media=True), numbers[1])
    page.wait_until_hears(DESK_HZ)
    desk.wait_until_heard(MICROPHONE_HZ, timeout_s=PATIENCE_S)
    account.hang_up(call_id)
    assert account.wait_for_outcome(call_id)["outcome"] == "connected"
