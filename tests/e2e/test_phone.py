"""The soft phone against a small exchange on the same SIP core, through real sockets and real sound."""

import asyncio
import io
import wave
from contextlib import asynccontextmanager

import pytest
from rich.console import Console

from offhook.audio.hearing import Ear
from offhook.audio.synthesis import sine
from offhook.engines.embedded.transports import SipEndpoint
from offhook.phone import (
    Answered,
    Answering,
    CallEnded,
    Heard,
    PhoneOptionWrong,
    PhoneSettings,
    Registered,
    RegistrationFailed,
    Ringing,
    SoftPhone,
    resolve_server,
    run_phone,
    split_address,
)
from offhook.phone.rtp import RtpStream
from offhook.sip.commands import EndReason, InviteRequest
from offhook.sip.config import UserAgentConfig
from offhook.sip.digest import DigestServer, Verdict, hash_credentials
from offhook.sip.events import DialogEnded, InviteAnswered, InviteEnded, InviteProgress, RequestReceived
from offhook.sip.message import parse_expires
from offhook.sip.sdp import SessionDescription, audio_target, build_offer
from offhook.sip.user_agent import UserAgentCore
from offhook.system import SystemClock, SystemRandom

REALM = "acme.test"
LOOPBACK = "127.0.0.1"
EXCHANGE_HZ, PHONE_HZ = 600.0, 440.0
CLOCK, RANDOM = SystemClock(), SystemRandom()


class Exchange:
    """Registers phones with digest, calls them, and talks to them."""

    def __init__(self, expires_s: int = 300) -> None:
        config = UserAgentConfig(
            advertised={"udp": (LOOPBACK, 0), "tcp": (LOOPBACK, 0)},
            allow=("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER"),
        )
        self.core = UserAgentCore(config, RANDOM)
        self.endpoint = SipEndpoint(self.core, clock=CLOCK, on_event=self._take, host=LOOPBACK, port=0)
        self.stream = RtpStream([PHONE_HZ])
        self.contacts: list[str] = []
        self.registrations: list[int] = []
        """The expiries asked for by those that knew the password."""
        self.events = []
        self.dialog = None
        self._expires_s = expires_s
        self._digest = DigestServer(b"secret of the exchange")

    def call(self, *, offer: bool = True, headers=(), name: str = "Jane", parameters: str = "") -> None:
        """Ring the phone that registered last."""
        contact = self.contacts[-1]
        host_port, _, rest = contact.partition("@")[2].partition(";")
        transport = "tcp" if "tcp" in rest else "udp"
        host, _, port = host_port.partition(":")
        body = build_offer(LOOPBACK, self.stream.port, ["PCMA", "PCMU"], "1").to_bytes() if offer else b""
        request = InviteRequest(
            request_uri=contact + parameters,
            from_=f'"{name}" <sip:+15551234567@{REALM}>',
            to=f"<sip:dev1@{REALM}>",
            flow=self.endpoint.flow_to(transport, (host, int(port))),
            headers=headers,
            body=body,
        )
        self.invite = self.core.invite(request, CLOCK.monotonic())
        self.endpoint.flush()

    def bye(self, text: str) -> None:
        headers = (("Reason", str(EndReason("Q.850", 16, text))),)
        self.core.bye(self.dialog, CLOCK.monotonic(), headers)
        self.endpoint.flush()

    def cancel(self) -> None:
        self.core.cancel(self.invite, CLOCK.monotonic())
        self.endpoint.flush()

    def statuses(self) -> list[int]:
        """Return what the phone answered to the INVITE, in order."""
        known = (InviteProgress, InviteAnswered)
        final = [event.status for event in self.events if isinstance(event, InviteEnded)]
        return [event.response.status for event in self.events if isinstance(event, known)] + final

    def _take(self, event) -> None:
        self.events.append(event)
        if isinstance(event, RequestReceived) and event.request.method == "REGISTER":
            self._register(event)
        elif isinstance(event, InviteAnswered):
            self._talk(event)

    def _register(self, event: RequestReceived) -> None:
        now, request = CLOCK.monotonic(), event.request
        verdict, _ = self._digest.verify(
            "REGISTER",
            request.headers.lines("Authorization"),
            lambda user, algorithm: hash_credentials(algorithm, user, REALM, "right"),
            realm=REALM,
            now_s=now,
        )
        if verdict is not Verdict.OK:
            challenges = self._digest.challenges(REALM, now_s=now, salt=RANDOM.hex(16))
            headers = tuple(("WWW-Authenticate", value) for value in challenges)
            self.core.respond(event.transaction, 401, headers=headers, now=now)
            return
        asked = parse_expires(request.headers.get("Expires") or "")
        self.registrations.append(asked)
        self.contacts.append(request.contacts[0].uri)
        granted = (("Contact", f"<{request.contacts[0].uri}>;expires={min(asked, self._expires_s)}"),)
        self.core.respond(event.transaction, 200, headers=granted, now=now)

    def _talk(self, event: InviteAnswered) -> None:
        self.dialog = event.dialog
        description = SessionDescription.parse(event.response.body)
        target = audio_target(description)
        answer = b""
        if self.invite_has_no_offer:
            answer = build_offer(LOOPBACK, self.stream.port, ["PCMU"], "1").to_bytes()
        self.core.send_ack(event.dialog, answer, CLOCK.monotonic())
        self.stream.start((target.host, target.port), target.codecs[0].payload_type, sine(EXCHANGE_HZ, 1.0))

    invite_has_no_offer = False


@asynccontextmanager
async def given_exchange(expires_s: int = 300):
    exchange = Exchange(expires_s)
    await exchange.endpoint.start()
    exchange.stream.open(LOOPBACK)
    try:
        yield exchange
    finally:
        exchange.stream.close()
        await exchange.endpoint.stop()


@asynccontextmanager
async def given_phone(exchange: Exchange, **more):
    events = []
    password = more.pop("password", "right")
    settings = PhoneSettings(
        username="dev1",
        password=password,
        realm=REALM,
        server=exchange.endpoint.address,
        tone_hz=PHONE_HZ,
        listen_for_hz=(EXCHANGE_HZ,),
        **more,
    )
    phone = SoftPhone(settings, clock=CLOCK, random=RANDOM, on_event=events.append)
    phone.events = events
    await phone.start()
    try:
        if password == "right":
            await until(lambda: phone.is_registered)
        yield phone
    finally:
        await phone.stop()


async def until(condition, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def happened(phone, kind):
    return next((event for event in phone.events if isinstance(event, kind)), None)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call_from_ring_to_hang_up(transport):
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange, transport=transport) as phone:
            assert happened(phone, Registered).expires_s == 300
            called_at = CLOCK.monotonic()
            exchange.call()
            await until(lambda: happened(phone, Heard))
            await until(lambda: exchange.stream.ear.heard(PHONE_HZ) >= 0.2)
            ringing = happened(phone, Ringing)
            assert (ringing.caller_name, ringing.caller_number) == ("Jane", "+15551234567")
            assert not ringing.asks_auto_answer
            assert happened(phone, Answered).codec == "PCMA"
            assert happened(phone, Heard).frequency_hz == EXCHANGE_HZ
            assert phone.heard(EXCHANGE_HZ) >= 0.2
            exchange.bye("that was all")
            await until(lambda: happened(phone, CallEnded))
            ended = happened(phone, CallEnded)
            assert ended.by_peer
            assert ended.reason == "that was all"
            assert 0 < ended.talked_s < CLOCK.monotonic() - called_at
            await until(lambda: any(isinstance(event, DialogEnded) for event in exchange.events))
            assert exchange.statuses() == [180, 200]

    asyncio.run(scenario())


def test_it_leaves_the_registrar_when_it_stops():
    async def scenario():
        async with given_exchange() as exchange:
            async with given_phone(exchange):
                assert exchange.registrations == [300]
            assert exchange.registrations == [300, 0]
            assert exchange.contacts[0] == exchange.contacts[1]

    asyncio.run(scenario())


def test_it_refreshes_before_the_registration_expires():
    async def scenario():
        async with given_exchange(expires_s=2) as exchange, given_phone(exchange) as phone:
            phone._registration._timer.cancel()
            phone._registration._again_in(0.05)  # as when four fifths are over
            await until(lambda: len(exchange.registrations) == 2)
            assert phone.is_registered

    asyncio.run(scenario())


def test_a_wrong_password_is_told():
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange, password="wrong") as phone:
            await until(lambda: happened(phone, RegistrationFailed))
            assert happened(phone, RegistrationFailed).status == 401
            assert not phone.is_registered
            assert exchange.registrations == []

    asyncio.run(scenario())


@pytest.mark.parametrize(("answering", "status"), [(Answering.BUSY, 486), (Answering.DECLINE, 603)])
def test_it_refuses_as_told(answering, status):
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange, answering=answering) as phone:
            exchange.call()
            await until(lambda: exchange.statuses())
            assert exchange.statuses() == [status]
            assert happened(phone, Answered) is None
            assert not happened(phone, CallEnded).by_peer

    asyncio.run(scenario())


def test_it_rings_until_the_caller_gives_up():
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange, answering=Answering.NEVER) as phone:
            exchange.call()
            await until(lambda: exchange.statuses() == [180])
            exchange.cancel()
            await until(lambda: exchange.statuses() == [180, 487])
            assert happened(phone, CallEnded).by_peer
            assert happened(phone, CallEnded).talked_s == 0

    asyncio.run(scenario())


def test_it_answers_after_a_while_and_hangs_up_after_another():
    async def scenario():
        timing = {"answer_after_s": 0.3, "hang_up_after_s": 0.3}
        async with given_exchange() as exchange, given_phone(exchange, **timing) as phone:
            exchange.call()
            await until(lambda: exchange.statuses() == [180])
            assert happened(phone, Answered) is None
            await until(lambda: happened(phone, CallEnded))
            assert exchange.statuses() == [180, 200]
            assert happened(phone, CallEnded).talked_s == pytest.approx(0.3, abs=0.15)
            await until(lambda: any(isinstance(event, DialogEnded) for event in exchange.events))

    asyncio.run(scenario())


AUTO_ANSWER = {
    "call-info": {"headers": (("Call-Info", "<sip:acme.test>;answer-after=0"),)},
    "alert-info": {"headers": (("Alert-Info", "intercom"),)},
    "uri": {"parameters": ";intercom=true"},
}


@pytest.mark.parametrize("wish", AUTO_ANSWER)
def test_it_picks_up_by_itself_when_asked(wish):
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange, answering=Answering.NEVER) as phone:
            exchange.call(**AUTO_ANSWER[wish])
            await until(lambda: happened(phone, Answered))
            assert happened(phone, Ringing).asks_auto_answer

    asyncio.run(scenario())


def test_it_rings_although_asked_if_told_so():
    async def scenario():
        deaf = {"answering": Answering.NEVER, "auto_answer": False}
        async with given_exchange() as exchange, given_phone(exchange, **deaf) as phone:
            exchange.call(**AUTO_ANSWER["call-info"])
            await until(lambda: exchange.statuses() == [180])
            assert happened(phone, Ringing).asks_auto_answer
            assert happened(phone, Answered) is None

    asyncio.run(scenario())


def test_a_call_without_an_offer_is_offered_and_answered_by_the_ack():
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange) as phone:
            exchange.invite_has_no_offer = True
            exchange.call(offer=False)
            await until(lambda: exchange.stream.ear.heard(PHONE_HZ) >= 0.2)
            await until(lambda: happened(phone, Heard))
            assert len(phone.calls) == 1

    asyncio.run(scenario())


def test_hold_stops_the_sound_and_resume_brings_it_back():
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange) as phone:
            exchange.call()
            await until(lambda: exchange.stream.packets_received > 5)
            for version, direction in ((2, "sendonly"), (3, "sendrecv")):
                offer = build_offer(
                    LOOPBACK, exchange.stream.port, ["PCMA"], "1", version=version, direction=direction
                )
                reinvite = exchange.core.reinvite(exchange.dialog, offer.to_bytes(), CLOCK.monotonic())
                exchange.endpoint.flush()
                await until(lambda sent=reinvite: answered(exchange, sent))
                exchange.core.send_ack(exchange.dialog, b"", CLOCK.monotonic())
                exchange.endpoint.flush()
                await asyncio.sleep(0.1)
                before = exchange.stream.packets_received
                await asyncio.sleep(0.2)
                flows = exchange.stream.packets_received > before
                assert flows == (direction == "sendrecv")
            assert happened(phone, CallEnded) is None

    asyncio.run(scenario())


def answered(exchange, reinvite) -> bool:
    return any(getattr(event, "invite", None) is reinvite for event in exchange.events)


@pytest.mark.parametrize("body", [b"rubbish", b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"])
def test_an_offer_that_cannot_be_taken_is_refused(body):
    async def scenario():
        async with given_exchange() as exchange, given_phone(exchange) as phone:
            exchange.call(offer=False)
            await until(lambda: happened(phone, Answered))
            phone.events.clear()
            request = InviteRequest(
                request_uri=exchange.contacts[-1],
                from_=f"<sip:x@{REALM}>",
                to=f"<sip:dev1@{REALM}>",
                flow=exchange.endpoint.flow_to("udp", phone.address),
                body=body,
            )
            exchange.events.clear()
            exchange.core.invite(request, CLOCK.monotonic())
            exchange.endpoint.flush()
            await until(lambda: exchange.statuses()[-1:] == [488])
            assert not happened(phone, CallEnded).by_peer

    asyncio.run(scenario())


def test_in_a_terminal_it_says_what_happens_and_writes_what_it_hears(tmp_path):
    async def scenario():
        async with given_exchange() as exchange:
            text = io.StringIO()
            settings = PhoneSettings(
                username="dev1",
                password="right",
                realm=REALM,
                server=exchange.endpoint.address,
                tone_hz=PHONE_HZ,
                listen_for_hz=(EXCHANGE_HZ,),
                hang_up_after_s=0.6,
            )
            recording = tmp_path / "heard.wav"
            console = Console(file=text, width=120)
            running = asyncio.create_task(run_phone(settings, record_to=recording, calls=1, console=console))
            await until(lambda: exchange.contacts)
            exchange.call(name="[red]Jane")
            assert await running == 0
            lines = text.getvalue().splitlines()
            assert "phone dev1@acme.test at 127.0.0.1:" in lines[0]
            assert lines[1] == "registered for 300 s"
            assert lines[2] == "ringing: [red]Jane <+15551234567>"
            assert lines[3] == "answered (PCMA)"
            assert lines[4] == "hearing 600 Hz"
            assert lines[5].endswith("ended by this side: hung up")
            with wave.open(str(recording)) as file:
                samples = memoryview(file.readframes(80_000)).cast("h")
            ear = Ear([EXCHANGE_HZ])
            ear.listen(type(exchange.stream.recorded)("h", samples))
            assert ear.heard(EXCHANGE_HZ) >= 0.3

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["", "acme.test", "dev1@", "tel:123", "a b@c"])
def test_bad_addresses_are_told(address):
    with pytest.raises(PhoneOptionWrong):
        split_address(address)


def test_addresses_are_split_and_resolved():
    assert split_address("sip:dev1@acme.test") == split_address("dev1@acme.test") == ("dev1", "acme.test")
    assert asyncio.run(resolve_server("127.0.0.1")) == ("127.0.0.1", 5060)
    assert asyncio.run(resolve_server("localhost:5070"))[1] == 5070
    with pytest.raises(PhoneOptionWrong):
        asyncio.run(resolve_server("host:port"))
