"""The registrar: which contacts an address of record is bound to (RFC 3261 10.3, 3327, parts of 5626).

Pure: the caller has checked the credentials, and gives the time as Unix seconds.
"""

import heapq
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from .bindings import Binding, binding_of, contact_value, instance_of
from .errors import RemoteMalformed
from .flows import Flow
from .grammar import WILDCARD, NameAddr
from .message import Request, parse_expires
from .uri import SipUri

MIN_EXPIRES_S: Final = 10
"""Shorter ones get 423: a phone that refreshes faster is a flood."""
MAX_EXPIRES_S: Final = 3600
"""Longer ones are shortened: a dead phone is forgotten within the hour."""
DEFAULT_EXPIRES_S: Final = 300
MAX_CONTACTS: Final = 10
"""Contacts of one address of record; a further one replaces the one registered longest ago."""
MAX_BINDINGS: Final = 100_000
"""Of the whole registrar, about 100 MB."""
RETRY_AFTER_S: Final = 60
FLOW_TIMER_S: Final = 120
"""How often a phone pings its connection at least (RFC 5626 4.4.1); we drop one that is silent for 900 s."""


class RegistrarResult(msgspec.Struct, frozen=True):
    """What to answer to a REGISTER, and what it did. Unless status is 200 it did nothing."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    added: tuple[Binding, ...] = ()
    changed: tuple[Binding, ...] = ()
    """Refreshed, or moved to another address (as they are now)."""
    removed: tuple[Binding, ...] = ()


class _Refused(Exception):
    """A contact that fails the whole request (10.3: all or nothing)."""

    def __init__(self, status: int, *headers: tuple[str, str]) -> None:
        self.result = RegistrarResult(status, headers)


class Registrar:
    """All bindings, by address of record."""

    __slots__ = ("_by_aor", "_by_flow", "_count", "_due")

    def __init__(self) -> None:
        self._by_aor: dict[str, list[Binding]] = {}
        self._by_flow: dict[str, set[str]] = {}  # flow id → addresses of record
        self._due: list[tuple[float, str, str]] = []  # heap: when to look at (aor, contact)
        self._count = 0

    def __len__(self) -> int:
        """Return how many bindings there are."""
        return self._count

    def restore(self, bindings: Iterable[Binding]) -> None:
        """Take back what a store has kept, into a registrar that is empty.

        Of a phone that has moved the store may still have its old contact: the one that lasts longest counts.
        """
        by_aor: dict[str, dict[str, Binding]] = {}
        for binding in sorted(bindings, key=lambda one: one.expires_at):
            kept = by_aor.setdefault(binding.aor, {})
            for old in [one for one in kept.values() if _is_same_phone(one, binding)]:
                del kept[old.contact]
            kept[binding.contact] = binding
        for aor, kept in by_aor.items():
            self._store(aor, kept)

    # --- queries ---

    def bindings(self, aor: str, now: float) -> list[Binding]:
        """Return the live bindings, best first: by q, then the newest (RFC 3261 16.6)."""
        live = [binding for binding in self._by_aor.get(aor, ()) if binding.expires_at > now]
        return sorted(live, key=lambda binding: (-binding.q, -binding.registered_at))

    def ways(self, aor: str, now: float) -> list[Binding]:
        """Return the live bindings to ring, best first: of a phone with several flows that refreshed last.

        Two flows of one phone (RFC 5626 section 6) are two ways to it, not two phones.
        """
        bindings = self.bindings(aor, now)
        newest: dict[str, Binding] = {}
        for binding in bindings:
            known = newest.get(binding.instance)
            if binding.reg_id and (known is None or known.expires_at < binding.expires_at):
                newest[binding.instance] = binding
        return [one for one in bindings if not one.reg_id or newest[one.instance] is one]

    def all(self) -> list[Binding]:
        """Return every binding, expired ones too until expire() is called."""
        return [binding for bindings in self._by_aor.values() for binding in bindings]

    # --- REGISTER ---

    def register(self, request: Request, *, aor: str, now: float, source: Flow) -> RegistrarResult:
        """Apply a REGISTER whose sender may change the bindings of aor; all of it or nothing.

        Without Contact it is a query. A status other than 200: 400 malformed, 423 too brief, 500 out
        of order (10.3 step 7), 503 full.
        """
        try:
            contacts = request.contacts
            before = {binding.contact: binding for binding in self._by_aor.get(aor, ())}
            if contacts == (WILDCARD,):
                after = _without_all(request, before.values())
            else:
                after = self._bound(request, contacts, before, aor=aor, now=now, source=source)
        except _Refused as refusal:
            return refusal.result
        except RemoteMalformed as fault:
            return RegistrarResult(fault.status)
        self._store(aor, after)
        changes = _changes(before, after)
        bindings = self.bindings(aor, now)
        headers = (*_answer_headers(request, bindings, now), *_outbound_headers(request, bindings))
        return RegistrarResult(200, headers, *changes)

    def _bound(
        self,
        request: Request,
        contacts: Iterable[NameAddr],
        before: dict[str, Binding],
        *,
        aor: str,
        now: float,
        source: Flow,
    ) -> dict[str, Binding]:
        """Return the bindings as they are after the request."""
        after = dict(before)
        touched = set()
        for contact in contacts:
            seconds = _expiry(request, contact)
            old = _find(after, contact)
            if old is not None:
                _check_order(request, old)
                del after[old.contact]
            if seconds > 0:
                started_at = old.registered_at if old is not None else now
                binding = binding_of(request, contact, aor=aor, source=source, started_at=started_at,
                                   expires_at=now + seconds)  # fmt: skip
                after[binding.contact] = binding
                touched.add(binding.contact)
        if len(touched) > MAX_CONTACTS:
            raise _Refused(403)
        if self._count - len(before) + len(after) > MAX_BINDINGS:
            raise _Refused(503, ("Retry-After", str(RETRY_AFTER_S)))
        others = sorted(
            (b for b in after.values() if b.contact not in touched), key=lambda b: b.registered_at
        )
        for binding in others[: max(0, len(after) - MAX_CONTACTS)]:
            del after[binding.contact]
        return after

    def _store(self, aor: str, after: dict[str, Binding]) -> None:
        old = self._by_aor.get(aor, [])
        known = {binding.contact for binding in old}
        self._count += len(after) - len(old)
        for binding in old:
            self._by_flow.get(binding.flow_id, set()).discard(aor)
        for binding in after.values():
            if binding.contact not in known:
                heapq.heappush(self._due, (binding.expires_at, aor, binding.contact))
            if binding.flow_id:
                self._by_flow.setdefault(binding.flow_id, set()).add(aor)
        for flow_id in {binding.flow_id for binding in old}:
            if flow_id in self._by_flow and not self._by_flow[flow_id]:
                del self._by_flow[flow_id]
        if after:
            self._by_aor[aor] = list(after.values())
        else:
            self._by_aor.pop(aor, None)

    # --- removal ---

    def remove(self, aor: str) -> list[Binding]:
        """Forget every binding of an address of record; return them."""
        removed = self._by_aor.get(aor, [])
        self._store(aor, {})
        return removed

    def flow_lost(self, flow_id: str) -> list[Binding]:
        """Forget the bindings of a connection that is gone; return them."""
        removed: list[Binding] = []
        for aor in list(self._by_flow.get(flow_id, ())):
            removed += self._keep(aor, lambda binding: binding.flow_id != flow_id)
        return removed

    def expire(self, now: float) -> list[Binding]:
        """Forget what has expired; return it. Costs nothing while nothing is due."""
        removed: list[Binding] = []
        while self._due and self._due[0][0] <= now:
            _, aor, contact = heapq.heappop(self._due)
            binding = next((b for b in self._by_aor.get(aor, ()) if b.contact == contact), None)
            if binding is None:
                continue
            if binding.expires_at > now:  # refreshed since
                heapq.heappush(self._due, (binding.expires_at, aor, contact))
            else:
                removed += self._keep(aor, lambda one, gone=contact: one.contact != gone)  # type: ignore[misc]
        return removed

    def next_expiry(self) -> float | None:
        """Return when to call expire() next, or None."""
        return self._due[0][0] if self._due else None

    def _keep(self, aor: str, wanted: Callable[[Binding], bool]) -> list[Binding]:
        bindings = self._by_aor.get(aor, [])
        self._store(aor, {binding.contact: binding for binding in bindings if wanted(binding)})
        return [binding for binding in bindings if not wanted(binding)]


def _without_all(request: Request, bindings: Iterable[Binding]) -> dict[str, Binding]:
    """`Contact: *` with `Expires: 0` removes all (10.3 step 6)."""
    if request.expires != 0:
        raise _Refused(400)
    for binding in bindings:
        _check_order(request, binding)
    return {}


def _check_order(request: Request, old: Binding) -> None:
    """Refuse a REGISTER that was overtaken by a later one of the same phone (10.3 step 7)."""
    if request.call_id == old.call_id and request.cseq.number <= old.cseq:
        raise _Refused(500)


def _expiry(request: Request, contact: NameAddr) -> int:
    text = contact.params.get("expires")
    seconds = parse_expires(text) if text is not None else request.expires
    if seconds is None:
        return DEFAULT_EXPIRES_S
    if 0 < seconds < MIN_EXPIRES_S:
        raise _Refused(423, ("Min-Expires", str(MIN_EXPIRES_S)))
    return min(seconds, MAX_EXPIRES_S)


def _find(bindings: dict[str, Binding], contact: NameAddr) -> Binding | None:
    """Return the binding a contact renews: of the same instance (RFC 5626), or an equal URI."""
    instance, reg_id = instance_of(contact)
    uri = SipUri.parse(contact.uri, "contact")
    for binding in bindings.values():
        if instance and binding.instance:
            if (instance, reg_id) == (binding.instance, binding.reg_id):
                return binding
        elif binding.contact == contact.uri or uri.is_equivalent(SipUri.parse(binding.contact)):
            return binding
    return bindings.get(contact.uri)


def _is_same_phone(one: Binding, other: Binding) -> bool:
    return bool(one.instance) and (one.instance, one.reg_id) == (other.instance, other.reg_id)


def _changes(
    before: dict[str, Binding], after: dict[str, Binding]
) -> tuple[tuple[Binding, ...], tuple[Binding, ...], tuple[Binding, ...]]:
    """Return added, changed and removed; a binding that only moved is changed, not removed."""
    moved = {(b.instance, b.reg_id) for b in after.values() if b.instance}
    instances = {(b.instance, b.reg_id) for b in before.values() if b.instance}
    added, changed = [], []
    for contact, binding in after.items():
        if contact in before or (binding.instance, binding.reg_id) in instances:
            if before.get(contact) != binding:
                changed.append(binding)
        else:
            added.append(binding)
    removed = [
        binding
        for contact, binding in before.items()
        if contact not in after and (binding.instance, binding.reg_id) not in moved
    ]
    return tuple(added), tuple(changed), tuple(removed)


def _outbound_headers(request: Request, bindings: Iterable[Binding]) -> tuple[tuple[str, str], ...]:
    """Tell a phone with its own connection that we keep to it, and how often to ping (RFC 5626 section 6).

    Behind a proxy it is that which keeps the connection.
    """
    if not request.has_option("supported", "outbound") or request.headers.get_all("Path"):
        return ()
    is_kept = any(
        one.reg_id
        and one.instance
        and one.flow_id
        and one.transport != "udp"
        and one.call_id == request.call_id
        for one in bindings
    )
    return (("Require", "outbound"), ("Flow-Timer", str(FLOW_TIMER_S))) if is_kept else ()


def _answer_headers(request: Request, bindings: Iterable[Binding], now: float) -> tuple[tuple[str, str], ...]:
    """Return every binding as Contact with the seconds it has left (10.3 step 8), and Path (RFC 3327)."""
    contacts = [("Contact", contact_value(binding, now)) for binding in bindings]
    return (*contacts, *[("Path", path) for path in request.headers.get_all("Path")])
