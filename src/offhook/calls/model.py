"""What a call is: its plan, its legs, its outcome. Nothing here knows SIP.

A CallPlan is made once (app/planning) and executed exactly (call.py). Addresses, headers and
credentials are strings that only an engine reads.
"""

from enum import StrEnum
from typing import Final

import msgspec


class Party(StrEnum):
    """Who is meant, in the order of ringing."""

    FIRST = "first"
    SECOND = "second"
    NONE = ""


class Side(StrEnum):
    """Who is meant, by role: the account's own extension, or the contact it talks to."""

    EXTENSION = "extension"
    CONTACT = "contact"
    NONE = ""


class By(StrEnum):
    """Who ended the call."""

    VISITOR = "visitor"
    API = "api"
    EXTENSION = "extension"
    CONTACT = "contact"
    CARRIER = "carrier"
    PLATFORM = "platform"
    POLICY = "policy"


class Outcome(StrEnum):
    """The closed list of how a call can end."""

    CONNECTED = "connected"
    """Both parties were joined."""
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    """No registered or reachable endpoint, or an unknown number."""
    CANCELED = "canceled"
    FAILED = "failed"
    """Carrier or peer error."""
    PLATFORM_ERROR = "platform_error"
    """Our fault: restart, engine lost, storage lost."""


class EndpointKind(StrEnum):
    """What sort of thing is rung."""

    DEVICE = "device"
    GATEWAY = "gateway"
    URI = "uri"


class MediaMode(StrEnum):
    """How the parties hear each other."""

    PROCESS = "process"
    """Through the relay."""
    BYPASS = "bypass"
    """Directly (RFC 3725 flow IV), with the relay as fallback."""


MAX_REDIRECTS: Final = 5
"""Addresses a leg may be sent on to, one after the other; a person waits meanwhile."""


class Redirect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of a refusal that names other addresses (SIP 3xx)."""

    follow: bool | None = None
    """They are rung; None: as the engine's own settings say."""
    hosts: tuple[str, ...] = ()
    """Where to, beside what those settings allow."""
    left: int = MAX_REDIRECTS
    """How often yet."""
    tried: tuple[str, ...] = ()
    """Addresses that were rung before this one, the first first."""
    waiting: tuple[str, ...] = ()
    """Other addresses named with this one, should it not answer."""


class EndpointPlan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One address to ring, and everything an engine needs to ring it. One endpoint becomes one leg."""

    leg_id: str
    """Unique; also the SIP Call-ID of the leg (`{call_id}`, or `…-quickcall` for quickcall legs)."""
    kind: EndpointKind
    endpoint_id: str = ""
    """Id of the device or resource document."""
    owner_id: str = ""
    """Id of the user who owns the device."""
    request_uri: str
    """`sip:dev1@10.0.0.5:5062;transport=tcp`"""
    to_uri: str
    """The address of record, `sip:dev1@acme.example.com`."""
    from_uri: str
    """`sip:+15551234567@acme.example.com`; built from the caller id."""
    caller_id_name: str = ""
    caller_id_number: str = ""
    callee_id_name: str = ""
    callee_id_number: str = ""
    route_set: tuple[str, ...] = ()
    """URIs to preload as Route headers (Path of the registration, or an outbound proxy)."""
    flow_id: str = ""
    """The connection the phone registered over, if the answer must go back through it."""
    headers: tuple[tuple[str, str], ...] = ()
    """Extra header fields of the INVITE, in order."""
    username: str = ""
    """Digest credentials for a carrier gateway."""
    password: str = ""
    realm: str = ""
    """Digest realm the credentials are good for; empty means any."""
    tls_ca: str = ""
    """PEM certificates that a server reached over TLS is checked with; empty: the system's."""
    tls_verify: bool = True
    """False: any certificate of that server will do."""
    codecs: tuple[str, ...] = ()
    """KAZOO's codec names in order of preference; empty means the engine's default."""
    delay_s: float = 0.0
    """Ring this long after the step began (ring groups)."""
    timeout_s: float = 0.0
    """Ring at most this long; 0 means as long as the step."""
    progress_timeout_s: float = 0.0
    """Give up if no 18x arrived in this time; 0 means never."""
    auto_answer: bool = False
    presence_id: str = ""
    hold_media: str = ""
    """What the other party hears when this one holds it: media id or tone; empty: the engine's music."""
    redirect: Redirect = Redirect()
    received: str = ""
    """Of a caller, who rang us instead of being rung: what an engine needs to answer it, in this process or
    after a crash in the next; nobody else reads it."""

    @property
    def is_caller(self) -> bool:
        """Tell whether this leg came in."""
        return bool(self.received)

    @property
    def direction(self) -> str:
        """`inbound` or `outbound`, as a switch sees it."""
        return "inbound" if self.received else "outbound"

    @property
    def own_uri(self) -> str:
        """The address of record of whoever is at the other end of this leg."""
        return self.from_uri if self.received else self.to_uri


class RingStep(msgspec.Struct, frozen=True, kw_only=True):
    """Endpoints rung together; the next step is tried when all of them failed or time is up."""

    endpoints: tuple[EndpointPlan, ...]
    timeout_s: float
    hunt: str = ""
    """Consecutive steps with the same non-empty word are other ways to the same destination (carriers):
    once one of them says busy, declined or no answer, the rest of that hunt is skipped."""


class PartyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How one party is reached."""

    side: Side
    number: str
    """As normalised: `1001`, `+15551234567`, or a SIP URI."""
    route: str = ""
    """Words for people: which rule matched (`callflow 1001 → user Jane → 2 devices`)."""
    steps: tuple[RingStep, ...] = ()
    """Empty when nothing can be rung; then `unreachable_cause` says why."""
    unreachable_cause: str = "NO_ROUTE_DESTINATION"
    """KAZOO's hangup cause if there is nothing to ring."""

    @property
    def endpoints(self) -> tuple[EndpointPlan, ...]:
        """Everything that may be rung, in order."""
        return tuple(endpoint for step in self.steps for endpoint in step.endpoints)


class RequestOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """The request that asked for a call, for its timeline."""

    method: str
    path: str
    """Without the query, which may hold a token."""
    request_id: str
    address: str
    """Of the client."""


class CallPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that will be done for one accepted request."""

    call_id: str
    """`c2c-{button}-{10 hex}`, or 32 hex and `-quickcall`. The handle in every event and answer."""
    account_id: str
    kind: str
    """`clicktocall`, `quickcall` or `inbound`."""
    authorizing_id: str
    authorizing_type: str
    """`clicktocall`, `device`, `user` or `resource`."""
    owner_id: str = ""
    interaction_id: str
    """KAZOO's `<gregorian seconds>-<8 hex>`."""
    first: PartyPlan
    second: PartyPlan
    media: MediaMode = MediaMode.PROCESS
    ringback: str = ""
    """What the first party hears while the second rings: media id, country code or tone string."""
    music_on_hold: str = ""
    """What a party hears that the other has put on hold, in place of that endpoint's `hold_media`."""
    hold_media: str = ""
    """What it hears if neither says; empty: the engine's own music."""
    ignore_early_media: bool = True
    """False: the second party's own early media is heard in place of ringback."""
    custom_application_vars: dict[str, str] = {}
    contact: str = ""
    """As given by the requester; history shows it."""
    visitor: bool = False
    """The request was anonymous."""
    origin: RequestOrigin | None = None
    """None: it was not asked for over HTTP."""
    max_duration_s: float = 14_400.0
    """A joined call is ended after this long (a forgotten leg costs money)."""

    @property
    def caller(self) -> EndpointPlan | None:
        """The first party's leg if it rang us; None if we ring both."""
        steps = self.first.steps
        return steps[0].endpoints[0] if steps and steps[0].endpoints[0].is_caller else None


class Handover(StrEnum):
    """How one party of a joined call is replaced: when it leaves, and what becomes of it."""

    BLIND = "blind"
    """It is hung up at once; if the target is not reached, the call is over."""
    REFERRED = "referred"
    """It asked for it (REFER): it waits, leaves when the target answers, and is taken back if nobody does."""
    INTERCEPT = "intercept"
    """Both talk on until the target answers; if it does not, nothing has happened."""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """The replacement of one party of a joined call by another."""

    staying_leg_id: str
    leaving_leg_id: str
    handover: Handover
    by: By
    """Who wanted it: `api`, or the side that referred."""
    target: PartyPlan
    """Who comes in its place; `side` is that of the party it replaces."""
    ringback: str = ""
    """What the one who stays hears meanwhile; empty: as the plan says."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """An attended transfer: one party has put the other through to somebody it talked to in another call.

    Each call keeps its own leg, its own bounds and its own outcome; they end together.
    """

    staying_leg_id: str
    leaving_leg_id: str
    other_call_id: str
    other_leg_id: str
    """Who the one who stays talks to now: a leg of the other call."""


class LegState(StrEnum):
    """Where a leg stands, seen from the call."""

    PLANNED = "planned"
    """Waits for its step or delay; the machine moves it on."""
    DIALING = "dialing"
    """The engine rings it; nothing heard yet."""
    RINGING = "ringing"
    WAITING = "waiting"
    """A caller that hears ringback; it is answered when the other party has answered."""
    ANSWERED = "answered"
    JOINED = "joined"
    ENDING = "ending"
    """We asked the engine to end it; the engine moves it on, within its own bound."""
    ENDED = "ended"


class Leg(msgspec.Struct, kw_only=True):
    """One rung endpoint: its state and its times (Unix seconds, 0.0 = never)."""

    endpoint: EndpointPlan
    party: Party
    side: Side
    state: LegState = LegState.PLANNED
    created_at: float = 0.0
    ringing_at: float = 0.0
    answered_at: float = 0.0
    ended_at: float = 0.0
    hangup_cause: str = ""
    sip_code: int = 0
    sip_reason: str = ""
    ended_by_peer: bool = False
    is_held: bool = False
    """It hears music, and the other party nothing."""
    is_holding: bool = False
    """Its phone has put the other party on hold."""
    is_played_to: bool = False
    """Something was begun to be played to it, once, and nobody has stopped it."""
    number: str = ""
    """What a transfer reached it by; empty: the number of its party in the plan."""
    redirected_to: str = ""
    """The leg to the next address that this one named when it refused."""
    joined_to: str = ""
    """The leg it was joined to last."""

    @property
    def leg_id(self) -> str:
        """The id that the engine and the journal know it by."""
        return self.endpoint.leg_id


class Times(msgspec.Struct, kw_only=True):
    """When a call passed each milestone (Unix seconds, 0.0 = never)."""

    accepted: float = 0.0
    first_ringing: float = 0.0
    first_answered: float = 0.0
    second_ringing: float = 0.0
    bridged: float = 0.0
    ended: float = 0.0


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """The one true end of a call."""

    outcome: Outcome
    party: Party = Party.NONE
    side: Side = Side.NONE
    by: By
    hangup_cause: str
    sip_code: int = 0
    sip_reason: str = ""
