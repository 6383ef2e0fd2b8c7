"""The door of the SIP port: what is not worth a look, what is told to come again, what must log in first.

In two steps. `admits` sees a message as it came, before it is parsed, and turns away what an address or the
whole world sends too much of; what belongs to a call of ours always passes. `judge` sees a valid request
outside any call, and answers it without keeping anything, unless it brings credentials or comes from a
carrier.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from offhook.sip.errors import RemoteMalformed
from offhook.sip.flows import Flow
from offhook.sip.gate import SILENTLY, TurnedAway
from offhook.sip.message import Request
from offhook.sip.uri import SipUri

from .logins import PROXY, REGISTRAR, Asking, SipLogins
from .password_guard import PasswordGuard
from .rate_limit import AddressRateLimit, RateLimit

FAULTS_PER_S: Final = 1.0
FAULTS_BURST: Final = 50.0
"""Requests per address that are answered although they are malformed: who tries a new phone sees why; a flood
gets nothing."""
RETRY_AFTER_S: Final = 5
"""Said with 503 when overloaded: the load is measured over a second or two."""


ENCRYPTED: Final = frozenset(("tls", "wss"))
"""Transports that a phone of a realm in tls_realms may use."""


class SipGate:
    """Judges what comes to the SIP port. `counts` says how much was turned away, by reason."""

    def __init__(
        self,
        guard: PasswordGuard,
        logins: SipLogins | None,
        *,
        rate_per_address: float,
        rate: float,
        scanners: Sequence[str],
        is_of_call: Callable[[bytes], bool],
        tls_realms: frozenset[str] = frozenset(),
    ) -> None:
        """rate_per_address and rate are messages per second outside calls; 0 is no limit.

        Without logins (an engine worker) nobody calls or registers here. scanners are words of User-Agent and
        tls_realms those that must log in over TLS (`*`: all), in lower case; is_of_call tells whether a raw
        message belongs to a call of ours.
        """
        self._logins = logins
        self._guard = guard
        self._addresses = AddressRateLimit(rate_per_address)
        self._world = RateLimit(rate)
        self._faults = AddressRateLimit(FAULTS_PER_S, burst=FAULTS_BURST)
        self._scanners = tuple(scanners)
        self._is_of_call = is_of_call
        self._tls_realms = tls_realms
        self.is_overloaded: Callable[[], bool] = lambda: False
        """Whether new calls must wait. Set by who measures it."""
        self.is_trunk: Callable[[str], bool] = lambda address: False
        """Whether an address is a carrier's, whose calls need no password. Set by who knows."""
        self.is_gateway: Callable[[str], bool] = lambda address: False
        """Whether gateways are asked at an address; their answers belong to no call. Set by who asks."""
        self.counts: Counter[str] = Counter(dict.fromkeys(REASONS, 0))

    # --- raw messages ---

    def admits(self, data: bytes, source: Flow, now: float) -> bool:
        """Tell whether a message is looked at. One of a call of ours always is."""
        if self._is_of_call(data):
            return True
        address = source.remote[0]
        if not self._guard.hears(address, now):
            return self._drop("blocked_address")
        if not self._addresses.admits(address, now):
            return self._drop("address_rate")
        if not self._is_expected(data, address) and not self._world.admits(now):
            return self._drop("rate")
        return True

    def _is_expected(self, data: bytes, address: str) -> bool:
        """Tell whether it is a phone's, a carrier's or a gateway's: a flood of strangers shuts out none."""
        if self._guard.knows(address) or self.is_trunk(address):
            return True
        return data.startswith(b"SIP/2.0 ") and self.is_gateway(address)

    def _drop(self, reason: str) -> bool:
        self.counts[reason] += 1
        return False

    # --- requests: the port of offhook.sip.gate ---

    def judge(self, request: Request, source: Flow, now: float) -> TurnedAway | None:
        """Let in what has answered a challenge or comes from a carrier; OPTIONS and the rest keep nothing."""
        if self._is_scanner(request):
            return SILENTLY
        if request.method == "REGISTER":
            return self._unless_answered(request, source, request.to.uri, REGISTRAR)
        if request.method != "INVITE":
            return None
        if self.is_overloaded():
            self.counts["overload"] += 1
            return TurnedAway(503, (("Retry-After", str(RETRY_AFTER_S)),))
        if self.is_trunk(source.remote[0]):
            return None
        return self._unless_answered(request, source, request.from_.uri, PROXY)

    def answers_fault(self, request: Request, source: Flow, now: float) -> bool:
        """Answer a few malformed requests per address; none of a scanner's."""
        if self._is_scanner(request):
            return False
        return self._faults.admits(source.remote[0], now) or self._drop("malformed")

    def _unless_answered(self, request: Request, source: Flow, uri: str, asking: Asking) -> TurnedAway | None:
        try:
            realm = realm_of(uri)
        except RemoteMalformed as fault:
            return TurnedAway(fault.status)
        if self._logins is None or (self._needs_tls(realm) and source.transport not in ENCRYPTED):
            self.counts["forbidden"] += 1
            return TurnedAway(403)
        if self._logins.has_answered(request, source, realm, asking):
            return None
        self.counts["challenged"] += 1
        return TurnedAway(asking.status, self._logins.challenge(request, source, realm, asking))

    def _needs_tls(self, realm: str) -> bool:
        return realm in self._tls_realms or "*" in self._tls_realms

    def _is_scanner(self, request: Request) -> bool:
        user_agent = (request.headers.get("User-Agent") or "").lower()
        if not any(word in user_agent for word in self._scanners):
            return False
        self.counts["scanner"] += 1
        return True


REASONS: Final = (
    "scanner",
    "blocked_address",
    "address_rate",
    "rate",
    "malformed",
    "overload",
    "challenged",
    "forbidden",
)


def realm_of(uri: str) -> str:
    """Return the realm of an address of record: its host, in lower case. Raises RemoteMalformed."""
    return SipUri.parse(uri).host.lower()
