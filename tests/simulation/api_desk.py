"""Plans made by the real planners from a small account's documents, for a share of a world's calls."""

import random
from collections.abc import Sequence
from typing import Any, Final

from offhook.app.planning import (
    Planning,
    plan_connect,
    plan_quickcall,
    read_connect,
    read_quickcall,
)
from offhook.calls.model import CallPlan
from offhook.directory.model import Document
from tests.unit.planning.directory import REALM, Account, PhoneBinding

from .far_ends import FarEnd
from .scenario import Cast, Casting
from .virtual_time import SeededRandom

CARRIERS: Final = 2


class ApiDesk:
    """An account with an extension, a colleague, a button and two carriers."""

    def __init__(self, casting: Casting, dice: random.Random, seed: str) -> None:
        self._casting = casting
        self._dice = dice
        self._cast: Cast | None = None
        self._contact_first = False
        account = self._account = Account()
        account.given_extension("1001", "extension")
        account.given_extension("2001", "colleague")
        account.given_way_out()
        self._planning = Planning(
            documents=account,  # type: ignore[arg-type]
            registrations=self._bindings,
            random=SeededRandom(f"{seed}/plans"),
            max_duration_s=60.0,
        )

    async def plan(self, cast: Cast, now: float) -> CallPlan:
        """Return the plan of a request that somebody might make; its far ends join the cast."""
        dice = self._dice
        self._cast = cast
        number = dice.choice(("2001", "+15551234567"))
        if dice.random() < 0.3:
            return await self._quickcall(number, now)
        button = self._button()
        for count in range(CARRIERS if number != "2001" else 0):
            self._given_carrier(count)
        planned = await plan_connect(
            read_connect({"contact": number}, query={}, visitor=dice.random() < 0.3),
            button=button,
            account=self._account.account,
            world=self._planning,
            now=now,
        )
        return planned.plan

    async def _quickcall(self, number: str, now: float) -> CallPlan:
        self._contact_first = False
        for count in range(CARRIERS if number != "2001" else 0):
            self._given_carrier(count)
        planned = await plan_quickcall(
            read_quickcall(number, {}, query={}, visitor=False),
            endpoint=self._account.documents[self._account.account.account_id, "device", "extension"],
            account=self._account.account,
            world=self._planning,
            now=now,
        )
        return planned.plan

    def _button(self) -> Document:
        dice = self._dice
        self._contact_first = dice.random() < 0.3
        fields: dict[str, Any] = {"media": {"ignore_early_media": dice.random() < 0.5}}
        if self._contact_first:
            fields["dial_first"] = "contact"
        if dice.random() < 0.3:
            fields["timeout"] = dice.choice((5, 20))
        if dice.random() < self._casting.scenario.bypass:
            fields["bypass_media"] = True
        return self._account.button(**fields)

    def _given_carrier(self, number: int) -> None:
        far_end = self._far_end("first" if self._contact_first else "second")
        self._account.given_carrier(
            f"carrier{number}",
            weight_cost=10 + number,
            gateways=[
                {
                    "server": far_end.address[0],
                    "username": "trunk",
                    "password": "secret",
                    "prefix": "",
                }
            ],
        )

    def _bindings(self, aor: str) -> Sequence[PhoneBinding]:
        """Return where a phone is registered: each call finds it at a new place, with a script of its own."""
        is_extension = aor == f"sip:extension@{REALM}"
        party = "first" if is_extension is not self._contact_first else "second"
        count = self._dice.choices((0, 1, 2), (1, 8, 2))[0]
        return [_binding(self._far_end(party)) for _ in range(count)]

    def _far_end(self, party: str) -> FarEnd:
        assert self._cast is not None
        return self._cast.far_end(self._casting.script(), party)


def _binding(far_end: FarEnd) -> PhoneBinding:
    host, port = far_end.address
    transport = ";transport=tcp" if far_end.script.tcp else ""
    return PhoneBinding(f"sip:phone@{host}:{port}{transport}")
