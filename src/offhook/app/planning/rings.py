"""What routing finds: things to ring, in steps. Not yet legs: who is calling is decided later."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from offhook.app.ports import Document, Json
from offhook.sip.uri import SipUri

from .profile import CallerId, Profile

Headers = tuple[tuple[str, str], ...]


class Binding(Protocol):
    """What a plan needs of a binding of the registrar (sip.registrar.Binding)."""

    @property
    def contact(self) -> str:
        """Contact URI as the phone wrote it."""
        ...

    @property
    def path(self) -> Sequence[str]:
        """URIs of the Path header fields, to be preloaded as Route."""
        ...

    @property
    def flow_id(self) -> str:
        """The flow to reach it by, if its contact is not an address of its own."""
        ...

    @property
    def user_agent(self) -> str:
        """What the phone calls itself, or empty."""
        ...

    @property
    def registered_at(self) -> float:
        """Unix seconds of its first registration."""
        ...


class Diverted(msgspec.Struct, frozen=True):
    """Somebody who was called and has forwarded the call."""

    number: str
    realm: str
    reason: str
    """As in Diversion (RFC 5806): `unconditional`, `unavailable`."""


class CallerEdit(msgspec.Struct, frozen=True):
    """What became of the caller id on the way through callflows: set_cid, prepend_cid, forwards."""

    name: str = ""
    number: str = ""
    name_prefix: str = ""
    number_prefix: str = ""
    diverted: tuple[Diverted, ...] = ()
    """Who forwarded the call, the first of them first."""

    def apply(self, caller: CallerId) -> CallerId:
        """Return the caller id as it is to be shown."""
        return CallerId(
            name=self.name_prefix + (self.name or caller.name),
            number=self.number_prefix + (self.number or caller.number),
        )


class DeviceRing(msgspec.Struct, frozen=True, kw_only=True):
    """A phone of the account."""

    device: Document
    profile: Profile
    bindings: tuple[Binding, ...] = ()
    """Where it is registered; empty if it has an address of its own, or is away."""
    address: str = ""
    """Request-URI of a phone that does not register (`sip.route`, or method `ip`)."""
    delay_s: float = 0.0
    timeout_s: float = 0.0
    caller_edit: CallerEdit = CallerEdit()
    headers: Headers = ()
    """Of the callflow module."""
    alert_info: str = ""
    """Ringtone of the ring group."""


class GatewayRing(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier gateway, and the number to send to it."""

    resource: Document
    gateway: Json
    number: str
    caller_kind: str = "external"
    """Which configured caller id is shown if the request names none: `external`, `internal`, `emergency`."""
    payer: Profile
    """Whose call it is: whose caller ids and privacy apply."""
    delay_s: float = 0.0
    timeout_s: float = 0.0
    caller_edit: CallerEdit = CallerEdit()
    headers: Headers = ()


class UriRing(msgspec.Struct, frozen=True, kw_only=True):
    """A SIP URI outside the account."""

    uri: SipUri
    delay_s: float = 0.0
    timeout_s: float = 0.0
    caller_edit: CallerEdit = CallerEdit()
    headers: Headers = ()


Ring = DeviceRing | GatewayRing | UriRing


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Things rung together."""

    rings: tuple[Ring, ...]
    timeout_s: float = 0.0
    """0: as long as the party may be rung."""
    hunt: str = ""
    """Same word = another way to the same destination (carriers)."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """How a number is reached."""

    number: str
    steps: tuple[Step, ...] = ()
    words: str = ""
    """For people: `callflow 1001 → user Jane Doe → 2 phones`."""
    cause: str = "NO_ROUTE_DESTINATION"
    """KAZOO's hangup cause if there is nothing to ring."""
    ringback: str = ""
    """What the callflow, a ring group or a carrier module wants the caller to hear."""
    is_known: bool = True
    """False: nothing in the account is for this number."""
