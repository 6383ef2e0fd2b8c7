"""What happens in a world, drawn from its seed: conditions, calls, scripts, requests, crashes."""

import random
from typing import Final

import msgspec

from offhook.app.planning import InboundRequest
from offhook.calls.model import (
    CallPlan,
    EndpointKind,
    EndpointPlan,
    MediaMode,
    PartyPlan,
    RingStep,
    Side,
)

from .far_ends import FarEnd
from .network import Conditions
from .scripts import BABBLES, Script
from .virtual_time import Address

CALLS: Final = 100
"""Per world: enough that calls meet, few enough that the ladder of a failure can be read."""

FOREVER: Final = float("inf")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A world's character. Shares are of calls, unless said otherwise."""

    name: str
    conditions: Conditions
    calls: int = CALLS
    pace_s: float = 0.3
    """Mean pause between two calls."""
    calls_max: int = 0
    relay: bool = True
    bypass: float = 0.0
    tcp: float = 0.1
    names: float = 0.05
    """Share of far ends that are reached by a host name."""
    strange: float = 0.25
    """Share of far ends that do not follow the rules, or go out of reach."""
    deletes: float = 0.15
    leaves: float = 0.1
    """Clients that wait for the answer and go away before it comes."""
    vanishes: float = 0.03
    """Clients that are gone before they hear the answer."""
    retries: float = 0.03
    """Clients that ask again with the same Idempotency-Key."""
    crashes: int = 0
    restarts: int = 0
    """Orderly ones: drain, stop, start."""
    relay_deaths: int = 0
    disk_troubles: int = 0
    busy: float = 0.05
    api_plans: float = 0.05
    """Share of calls whose plan comes from the planners."""
    clock_jumps: int = 0
    webhooks: bool = False
    """A receiver is told of every call."""
    callers: float = 0.15
    """Share of calls that come in over SIP."""

    @property
    def is_calm(self) -> bool:
        """Tell whether only what the far ends and requests do decides how calls end."""
        conditions = self.conditions
        harm = self.crashes + self.restarts + self.relay_deaths + self.disk_troubles + self.clock_jumps
        return not (harm or conditions.loss or conditions.straggle or conditions.breaks)


GOOD: Final = Conditions()
BAD: Final = Conditions(loss=0.1, repeat=0.1, delay=0.4, straggle=0.01, breaks=0.01)
HARDLY: Final = Conditions(loss=0.4, repeat=0.3, delay=1.5, straggle=0.05, breaks=0.05)
JITTER: Final = Conditions(delay=0.3, repeat=0.3)

SCENARIOS: Final = (
    Scenario(name="calm", conditions=GOOD, webhooks=True),
    Scenario(name="calm, much at once", conditions=GOOD, pace_s=0.02, busy=0.2, calls_max=60),
    Scenario(name="packets overtake each other", conditions=JITTER, deletes=0.4),
    Scenario(name="bypass", conditions=GOOD, bypass=0.8),
    Scenario(name="bypass on a bad network", conditions=BAD, bypass=0.8, deletes=0.3),
    Scenario(name="no relay", conditions=BAD, relay=False),
    Scenario(name="bad network", conditions=BAD),
    Scenario(name="a network that hardly works", conditions=HARDLY, tcp=0.3),
    Scenario(name="connections break", conditions=Conditions(breaks=0.15, delay=0.1), tcp=0.9),
    Scenario(name="strangers", conditions=BAD, strange=0.8),
    Scenario(name="crashes", conditions=GOOD, crashes=4, pace_s=0.6, webhooks=True),
    Scenario(name="crashes on a bad network", conditions=BAD, crashes=4, pace_s=0.6, bypass=0.2),
    Scenario(name="one crash after the other", conditions=JITTER, crashes=15, pace_s=0.6, webhooks=True),
    Scenario(name="restarts", conditions=BAD, restarts=3, crashes=1, pace_s=0.6, webhooks=True),
    Scenario(name="the relay dies", conditions=GOOD, relay_deaths=4),
    Scenario(name="the disk refuses", conditions=GOOD, disk_troubles=3, crashes=1, pace_s=0.6, webhooks=True),
    Scenario(name="the clock is set", conditions=GOOD, clock_jumps=6, crashes=2, pace_s=0.6, webhooks=True),
)


def scenario_named(name: str) -> Scenario:
    """Return the scenario of that name."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


class Casting:
    """Draws scripts and plans. `far_end(script)` makes the far end and returns its address."""

    def __init__(self, scenario: Scenario, dice: random.Random) -> None:
        self.scenario = scenario
        self.dice = dice

    # --- scripts --------------------------------------------------------------------------------------

    def script(self) -> Script:
        """Return what the next far end does."""
        dice, scenario = self.dice, self.scenario
        fields: dict[str, object] = {
            "rings_after": dice.choice((None, 0.0, 0.02, 0.1, 0.5)),
            "answers_after": dice.choice((0.0, dice.uniform(0, 1), dice.uniform(0, 8), dice.uniform(0, 60))),
            "status": dice.choices(
                (200, 486, 603, 480, 404, 503, 500, 302, 488, 408, 600, 0),
                (55, 8, 5, 3, 4, 4, 2, 2, 2, 1, 1, 8),
            )[0],
            "tcp": dice.random() < scenario.tcp,
        }
        if fields["status"] == 200:
            fields |= self._talk()
            fields["forks"] = not fields["tcp"] and dice.random() < 0.05
        if dice.random() < scenario.strange:
            fields |= self._strangeness()
        if dice.random() < scenario.names:
            fields["name"] = f"host{dice.getrandbits(32):08x}.example.net"
        return Script(**fields)  # type: ignore[arg-type]

    def caller_script(self) -> Script:
        """Return what the next one that rings us does."""
        dice, scenario = self.dice, self.scenario
        fields: dict[str, object] = {
            "gives_up_after": dice.choice(
                (dice.uniform(0, 1), dice.uniform(0, 20), dice.uniform(0, 90), 150)
            ),
            "tcp": dice.random() < scenario.tcp,
            "offers_late": dice.random() < 0.1,
            "forgets_ack": dice.random() < 0.03,
        }
        talk = self._talk()
        fields |= {
            name: talk[name] for name in ("body", "hangs_up_after", "reinvites_after", "refuses_reinvites")
        }
        if dice.random() < scenario.strange / 2:
            start = dice.uniform(0, 10)
            fields["away"] = ((start, dice.choice((FOREVER, start + dice.uniform(1, 10)))),)
        return Script(**fields)  # type: ignore[arg-type]

    def _talk(self) -> dict[str, object]:
        dice = self.dice
        return {
            "early_media": dice.random() < 0.15,
            "challenges": dice.random() < 0.1,
            "body": dice.choices(("ours", "alaw", "none", "broken", "video"), (88, 6, 2, 2, 2))[0],
            "hangs_up_after": dice.choice((None, 0.0, dice.uniform(0, 2), dice.uniform(0, 30))),
            "reinvites_after": dice.uniform(0, 10) if dice.random() < 0.15 else None,
            "refuses_reinvites": dice.random() < 0.2,
        }

    def _strangeness(self) -> dict[str, object]:
        dice = self.dice
        way = dice.randrange(6)
        if way == 0:
            return {"away": ((0.0, FOREVER),)}
        if way == 1:
            return {"away": ((dice.uniform(0, 10), FOREVER),)}
        if way == 2:
            start = dice.uniform(0, 10)
            return {"away": ((start, start + dice.uniform(1, 10)),)}
        if way == 3:
            return {"ignores_cancel": True}
        if way == 4:
            return {"babbles": dice.choice(BABBLES)}
        return {"answers_after": dice.uniform(20, 200)}

    # --- plans ----------------------------------------------------------------------------------------

    def plan(self, call_id: str, cast: "Cast") -> CallPlan:
        """Return a plan as the planners make them, and worse."""
        dice = self.dice
        devices = dice.choices((0, 1, 2, 4), (3, 70, 20, 7))[0]
        first = self._step(cast, "first", devices, leg_ids=[call_id] if devices == 1 else [])
        bypass = dice.random() < self.scenario.bypass
        return CallPlan(
            call_id=call_id,
            account_id="a" * 32,
            kind=dice.choice(("clicktocall", "quickcall")),
            authorizing_id="b" * 32,
            authorizing_type="clicktocall",
            interaction_id="63876500000-1a2b3c4d",
            first=PartyPlan(
                side=Side.EXTENSION,
                number="1001",
                steps=(first,) if devices else (),
                unreachable_cause="USER_NOT_REGISTERED",
            ),
            second=PartyPlan(side=Side.CONTACT, number="+15551234567", steps=self._second(cast)),
            media=MediaMode.BYPASS if bypass else MediaMode.PROCESS,
            ignore_early_media=dice.random() < 0.7,
            max_duration_s=dice.choice((5.0, 30.0, 120.0)),
        )

    def inbound_plan(self, call_id: str, cast: "Cast", request: InboundRequest) -> CallPlan:
        """Return the plan of a call that came in; its caller is on the cast already."""
        dice = self.dice
        caller = EndpointPlan(
            leg_id=call_id,
            kind=EndpointKind.GATEWAY,
            request_uri=request.contact,
            to_uri="sip:1001@acme.example.com",
            from_uri="sip:+15551234567@acme.example.com",
            caller_id_number="+15551234567",
            callee_id_number="1001",
            received=request.received,
        )
        waits = RingStep(endpoints=(caller,), timeout_s=0.0)
        return CallPlan(
            call_id=call_id,
            account_id="a" * 32,
            kind="inbound",
            authorizing_id="c" * 32,
            authorizing_type="resource",
            interaction_id="63876500000-1a2b3c4d",
            first=PartyPlan(side=Side.CONTACT, number="+15551234567", steps=(waits,)),
            second=PartyPlan(
                side=Side.EXTENSION,
                number="1001",
                steps=self._second(cast),
                unreachable_cause="USER_NOT_REGISTERED",
            ),
            ignore_early_media=dice.random() < 0.5,
            max_duration_s=dice.choice((5.0, 30.0, 120.0)),
        )

    def _second(self, cast: "Cast") -> tuple[RingStep, ...]:
        dice = self.dice
        kind = dice.choices(("device", "hunt", "group", "forward", "nobody"), (45, 25, 15, 12, 3))[0]
        if kind == "device":
            return (self._step(cast, "second", 1),)
        if kind == "group":
            return (self._step(cast, "second", dice.randrange(2, 5)),)
        if kind == "hunt":
            return tuple(
                self._step(cast, "second", 1, hunt="carriers", kind=EndpointKind.GATEWAY)
                for _ in range(dice.randrange(1, 4))
            )
        if kind == "forward":
            return tuple(self._step(cast, "second", dice.randrange(1, 3)) for _ in range(2))
        return ()

    def _step(
        self,
        cast: "Cast",
        party: str,
        count: int,
        *,
        hunt: str = "",
        kind: EndpointKind = EndpointKind.DEVICE,
        leg_ids: list[str] | None = None,
    ) -> RingStep:
        timeout_s = self.dice.choice((3.0, 10.0, 30.0, 60.0))
        endpoints = tuple(
            self._endpoint(cast, party, kind, (leg_ids or [""])[0] if count == 1 else "")
            for _ in range(count)
        )
        return RingStep(endpoints=endpoints, timeout_s=timeout_s, hunt=hunt)

    def _endpoint(self, cast: "Cast", party: str, kind: EndpointKind, leg_id: str) -> EndpointPlan:
        dice = self.dice
        script = self.script()
        far_end = cast.far_end(script, party)
        leg_id = leg_id or f"{dice.getrandbits(64):016x}"
        host = script.name or far_end.address[0]
        return EndpointPlan(
            leg_id=leg_id,
            kind=kind,
            request_uri=f"sip:phone@{host}:{far_end.address[1]}{';transport=tcp' if script.tcp else ''}",
            to_uri="sip:phone@acme.example.com",
            from_uri="sip:1002@acme.example.com",
            caller_id_name="Acme",
            caller_id_number="1002",
            headers=(("X-Account", "acme"),),
            username="trunk" if script.challenges else "",
            password="secret" if script.challenges else "",
            delay_s=dice.uniform(0, 5) if dice.random() < 0.1 else 0.0,
            timeout_s=dice.choice((2.0, 8.0)) if dice.random() < 0.15 else 0.0,
            progress_timeout_s=dice.choice((1.0, 4.0)) if dice.random() < 0.15 else 0.0,
        )


class Cast:
    """The far ends of one call, by party."""

    def __init__(self, make: "MakeFarEnd") -> None:
        self._make = make
        self.parties: dict[str, list[FarEnd]] = {"first": [], "second": []}

    @property
    def all(self) -> list[FarEnd]:
        return self.parties["first"] + self.parties["second"]

    def far_end(self, script: Script, party: str) -> FarEnd:
        """Put another far end on."""
        far_end = self._make(script)
        self.parties[party].append(far_end)
        return far_end


class MakeFarEnd:
    """Called with a script; returns a far end at an address of its own."""

    def __call__(self, script: Script) -> FarEnd:
        raise NotImplementedError


def address_of(number: int) -> Address:
    """Return the address of the n-th far end."""
    return f"10.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}", 5060
