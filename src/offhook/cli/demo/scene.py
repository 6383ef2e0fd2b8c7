"""What happens in the demo, and what is checked before it says that all was well."""

import asyncio
import time
from typing import Any, Final

import aiohttp
import uvloop
from rich.console import Console
from rich.markup import escape

from offhook.phone import (
    Answered,
    CallEnded,
    Heard,
    PhoneEvent,
    PhoneSettings,
    Registered,
    Ringing,
    SoftPhone,
)
from offhook.system import SystemClock, SystemRandom

from .client import Client
from .report import print_records
from .server import DemoFailed, DemoServer, running_server

REALM: Final = "acme.demo"
ALICE_HZ: Final = 700.0
BOB_HZ: Final = 1000.0
RINGBACK_HZ: Final = 480.0
"""One of the two tones of a North American ringback; neither phone sends it."""
TALK_S: Final = 2.0
STEP_BOUND_S: Final = 15.0

_WORDS: Final = {
    "accepted": "the journal has the call: from now on it has exactly one outcome",
    "leg_dialed": "INVITE to {who}",
    "leg_ringing": "{who} rings",
    "leg_answered": "{who} answered: {media}",
    "bridged": "joined: both parties hear each other",
    "leg_ended": "leg of {who} is over: {hangup_cause}",
    "ended": "outcome: {outcome}, ended by {by}",
}


def run_demo(*, keep_running: bool = False) -> int:
    """Run it; return 0 only if everything was real and right."""
    console = Console(highlight=False)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_demo(console, keep_running))
    except (DemoFailed, TimeoutError, aiohttp.ClientError) as error:
        console.print(f"\n[bold red]The demo failed:[/] {escape(str(error) or 'it took too long')}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _demo(console: Console, keep_running: bool) -> None:
    console.print("\n[bold]offhook[/] puts two people on a phone call from one HTTP request.\n")
    async with running_server() as server, aiohttp.ClientSession() as http:
        console.print(f"[bold]1.[/] A server: API {server.api}, SIP {server.sip[0]}:{server.sip[1]}")
        master = await Client.log_in(http, server.api, server.api_key)
        account = await master.put("", {"name": "Acme", "realm": REALM})
        scene = Scene(console, server, master.of_account(account["id"]))
        await scene.play()
        if keep_running:
            console.print(f"\nThe server runs until Ctrl-C. API key: {server.api_key}")
            await asyncio.Event().wait()


class Scene:
    """Alice works at Acme, extension 1001. Bob is the contact, extension 1002."""

    def __init__(self, console: Console, server: DemoServer, client: Client) -> None:
        self._console = console
        self._server = server
        self._client = client
        self._began = time.monotonic()
        self._legs: dict[str, str] = {}
        self._phone_events: dict[str, list[PhoneEvent]] = {"Alice": [], "Bob": []}
        self._news = asyncio.Event()

    async def play(self) -> None:
        """Set up, call, watch, check."""
        button = await self._set_up()
        alice = self._phone("Alice", "alice", ALICE_HZ, (BOB_HZ, RINGBACK_HZ), answer_after_s=0.5)
        bob = self._phone("Bob", "bob", BOB_HZ, (ALICE_HZ,), answer_after_s=2.0)
        self._console.print("[bold]4.[/] Two soft phones register over SIP with digest:")
        await alice.start()
        await bob.start()
        try:
            await self._until(lambda: alice.is_registered and bob.is_registered)
            call_id = await self._connect(button)
            await self._watch(call_id, alice, bob)
        finally:
            await alice.stop()
            await bob.stop()
        await self._check(button, call_id, alice, bob)

    # --- setting up ---------------------------------------------------------------------------------

    async def _set_up(self) -> str:
        put = self._client.put
        for number, name in (("1001", "alice"), ("1002", "bob")):
            user = await put("/users", {"first_name": name.title(), "last_name": "Demo"})
            sip = {"username": name, "password": f"secret-{name}"}
            await put("/devices", {"name": f"{name}'s phone", "owner_id": user["id"], "sip": sip})
            flow = {"module": "user", "data": {"id": user["id"]}, "children": {}}
            await put("/callflows", {"numbers": [number], "flow": flow})
        self._console.print("[bold]2.[/] An account, two users with a phone each: Alice 1001, Bob 1002")
        button = {"name": "Call Acme", "extension": "1001", "auth_required": False, "ringback": "us"}
        created = await put("/clicktocall", button)
        self._console.print("[bold]3.[/] A button “Call Acme” that rings 1001 and connects a visitor")
        return str(created["id"])

    def _phone(
        self,
        name: str,
        username: str,
        tone_hz: float,
        listen_for_hz: tuple[float, ...],
        answer_after_s: float,
    ) -> SoftPhone:
        settings = PhoneSettings(
            username=username,
            password=f"secret-{username}",
            realm=REALM,
            server=self._server.sip,
            tone_hz=tone_hz,
            listen_for_hz=listen_for_hz,
            answer_after_s=answer_after_s,
            auto_answer=False,
        )
        return SoftPhone(
            settings,
            clock=SystemClock(),
            random=SystemRandom(),
            on_event=lambda event: self._on_phone_event(name, event),
        )

    # --- the call -----------------------------------------------------------------------------------

    async def _connect(self, button: str) -> str:
        path = f"/clicktocall/{button}/connect"
        self._console.print(
            f"\n[bold]5.[/] A visitor clicks:  [cyan]curl '{self._client.url(path)}?contact=1002'[/]"
        )
        self._began = time.monotonic()
        status, data = await self._client.anonymous(path, contact="1002")
        taken_ms = (time.monotonic() - self._began) * 1000
        if status != 202 or "call_id" not in data:
            raise DemoFailed(f"connect answered {status}: {data}")
        self._say(f"HTTP 202, {taken_ms:.0f} ms after the click", "green")
        return str(data["call_id"])

    async def _watch(self, call_id: str, alice: SoftPhone, bob: SoftPhone) -> None:
        """Print each step as it happens; Bob hangs up when both have heard the other for a while."""
        seen, hung_up = 0, False
        async with asyncio.timeout(STEP_BOUND_S + TALK_S):
            while True:
                steps = await self._client.get(f"/calls/{call_id}/timeline")
                told = [step for step in steps if step["what"] in _WORDS]
                for step in told[seen:]:
                    self._tell(step)
                seen = len(told)
                if told and told[-1]["what"] == "ended":
                    return
                if not hung_up and alice.heard(BOB_HZ) > TALK_S / 2 and bob.heard(ALICE_HZ) > TALK_S / 2:
                    self._say("Bob hangs up", "yellow")
                    bob.calls[-1].hang_up()
                    hung_up = True
                await asyncio.sleep(0.05)

    def _tell(self, step: dict[str, Any]) -> None:
        if step["what"] == "leg_dialed":
            self._legs[step["leg_id"]] = "Alice" if step["party"] == "first" else "Bob"
        who = self._legs.get(step.get("leg_id", ""), "")
        self._say(
            _WORDS[step["what"]].format(
                who=f"{who}'s phone", **{k: v for k, v in step.items() if k != "what"}
            )
        )

    def _on_phone_event(self, name: str, event: PhoneEvent) -> None:
        self._phone_events[name].append(event)
        self._news.set()
        if isinstance(event, Registered) and len(self._phone_events[name]) == 1:
            self._console.print(f"      {name}'s phone is registered as {name.lower()}@{REALM}")
        elif isinstance(event, Ringing):
            self._say(f"{name} sees: {event.caller_name or 'no name'} <{event.caller_number}>", "yellow")
        elif isinstance(event, Answered):
            self._say(f"{name} picks up ({event.codec})", "yellow")
        elif isinstance(event, Heard):
            what = "ringback" if event.frequency_hz == RINGBACK_HZ else f"{event.frequency_hz:.0f} Hz"
            self._say(f"{name} hears {what}", "yellow")
        elif isinstance(event, CallEnded):
            self._say(f"{name}'s phone: the call is over ({event.reason})", "yellow")

    def _say(self, text: str, colour: str = "default") -> None:
        after_s = time.monotonic() - self._began
        self._console.print(f"   [dim]{after_s:7.3f} s[/]  [{colour}]{escape(text)}[/]")

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(STEP_BOUND_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    # --- the proof ----------------------------------------------------------------------------------

    async def _check(self, button: str, call_id: str, alice: SoftPhone, bob: SoftPhone) -> None:
        get = self._client.get
        ladder = await self._client.text(f"/calls/{call_id}/timeline", format="text")
        self._console.print("\n[bold]6.[/] What went over the wire, milliseconds since the click:\n")
        self._console.print(escape(ladder), soft_wrap=True)
        call = await get(f"/calls/{call_id}")
        history = await get(f"/clicktocall/{button}/history")
        cdrs = await get("/cdrs")
        print_records(self._console, history, cdrs)
        showed = [event.caller_name for event in self._phone_events["Alice"] if isinstance(event, Ringing)]
        outcomes = {call["outcome"], *(item["outcome"] for item in (*history, *cdrs))}
        checks = {
            "Alice's phone showed the button's name": showed == ["Call Acme"],
            "Alice heard ringback while Bob's phone rang": alice.heard(RINGBACK_HZ) > 0.5,
            f"Alice heard Bob's {BOB_HZ:.0f} Hz ({alice.heard(BOB_HZ):.1f} s)": alice.heard(BOB_HZ)
            > TALK_S / 2,
            f"Bob heard Alice's {ALICE_HZ:.0f} Hz ({bob.heard(ALICE_HZ):.1f} s)": bob.heard(ALICE_HZ)
            > TALK_S / 2,
            "one outcome everywhere: connected, ended by the contact": outcomes == {"connected"}
            and call["by"] == "contact",
            "one history item, one CDR for each leg": len(history) == 1 and len(cdrs) == 2,
            "no leg left anywhere": await get("/channels") == [] and _all_over(self._phone_events),
        }
        self._console.print()
        for text, right in checks.items():
            self._console.print(f"   {'[green]✓[/]' if right else '[bold red]✗[/]'} {escape(text)}")
        wrong = [text for text, right in checks.items() if not right]
        if wrong:
            raise DemoFailed("; ".join(wrong))
        self._console.print("\n[bold green]All of it was real and right.[/] Next: README.md, quickstart.\n")


def _all_over(events: dict[str, list[PhoneEvent]]) -> bool:
    return all(sum(isinstance(event, CallEnded) for event in seen) == 1 for seen in events.values())
