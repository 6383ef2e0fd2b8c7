"""Who guesses passwords is slowed down, then shut out for a while; who has the password is not (issue 5).

Three counts, each in a bounded table. An address and a username together: five wrong passwords and the pair
is shut out. An address: twenty, for whatever usernames, and nothing new from there is answered; two hundred
if a phone has logged in from there, for behind it may be an office. A username: fifty from anywhere, then
strangers (addresses it never logged in from) get one try in ten seconds. So nobody can keep out a phone
whose address is not his own. Only a wrong answer to a challenge that went to the same address counts: a
forged source address never sees one. Times are monotonic seconds, given by the caller.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

PAIR_FAILURES: Final = 5
"""Wrong passwords of one address for one username that cost no more than their delay: people mistype."""
ADDRESS_FAILURES: Final = 20
"""Of one address for any usernames: four phones set up wrongly."""
KNOWN_ADDRESS_FAILURES: Final = 200
"""The same where a phone has logged in: a whole office whose passwords were changed."""
MEMORY_S: Final = 900.0
"""Failures are forgiven when none came for so long after the last, or after its block."""
BLOCK_S: Final = 60.0
"""The first block; each further failure doubles it."""
BLOCK_MAX_S: Final = 3_600.0
"""A guesser gets 24 tries a day, a repaired phone waits an hour at most."""
DELAY_S: Final = 1.0
"""A wrong password is answered so long after it came, and no sooner: the time says nothing about the user."""
DELAY_MAX_S: Final = 8.0
"""Each further one doubles it: well within the 32 s that a phone waits."""
STRANGER_TRIES: Final = 50.0
"""Failures of one username from strangers, until they are rationed."""
STRANGER_REFILL_S: Final = 10.0
"""Seconds per further try: 8,640 a day for a whole botnet."""

PAIRS_MAX: Final = 20_000
ADDRESSES_MAX: Final = 20_000
USERNAMES_MAX: Final = 20_000
"""About 5 MB each when full; what failed longest ago is forgotten first."""
KNOWN_MAX: Final = 50_000
"""Pairs that have logged in: five times the devices of a node. The one that came longest ago is forgotten."""

Key = TypeVar("Key", bound=Hashable)


class PasswordGuard:
    """Counts wrong passwords; tells who may try, who is heard at all, and how long an answer waits."""

    def __init__(self) -> None:
        self._pairs: _Failures[tuple[str, str]] = _Failures(PAIRS_MAX)
        self._addresses: _Failures[str] = _Failures(ADDRESSES_MAX)
        self._strangers: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._known_addresses: dict[str, int] = {}  # address → its pairs in _known

    # --- questions ---

    def hears(self, address: str, now: float) -> bool:
        """Tell whether new requests of an address are looked at at all."""
        return not self._addresses.is_blocked(address, now)

    def may_try(self, address: str, username: str, now: float) -> bool:
        """Tell whether a password is looked at; if not, the answer is that to a wrong one."""
        if self._pairs.is_blocked((address, username), now):
            return False
        return (address, username) in self._known or self._tries_of_strangers(username, now) >= 1.0

    def knows(self, address: str) -> bool:
        """Tell whether a phone has logged in from an address."""
        return address in self._known_addresses

    def blocked(self, now: float) -> int:
        """Return how many addresses are shut out (for metrics; looks at all that failed)."""
        return self._addresses.blocked(now)

    # --- what happened ---

    def succeeded(self, address: str, username: str) -> None:
        """A right password: forget what this pair did wrong, and remember it as known."""
        pair = (address, username)
        self._pairs.forgive(pair)
        if pair in self._known:
            self._known.move_to_end(pair)
            return
        self._known[pair] = None
        self._known_addresses[address] = self._known_addresses.get(address, 0) + 1
        if len(self._known) > KNOWN_MAX:
            (oldest, _), _ = self._known.popitem(last=False)
            self._known_addresses[oldest] -= 1
            if not self._known_addresses[oldest]:
                del self._known_addresses[oldest]

    def failed(self, address: str, username: str, now: float) -> float:
        """Count a wrong password; return the seconds after its arrival at which to say so."""
        count = self._pairs.add((address, username), PAIR_FAILURES, now)
        self._addresses.add(address, KNOWN_ADDRESS_FAILURES if self.knows(address) else ADDRESS_FAILURES, now)
        if (address, username) not in self._known:
            self._take_try_of_strangers(username, now)
        return float(min(DELAY_MAX_S, DELAY_S * 2 ** min(count - 1, 10)))

    def _tries_of_strangers(self, username: str, now: float) -> float:
        tries, at = self._strangers.get(username, (STRANGER_TRIES, now))
        return min(STRANGER_TRIES, tries + (now - at) / STRANGER_REFILL_S)

    def _take_try_of_strangers(self, username: str, now: float) -> None:
        left = max(0.0, self._tries_of_strangers(username, now) - 1.0)
        self._strangers[username] = (left, now)
        self._strangers.move_to_end(username)
        if len(self._strangers) > USERNAMES_MAX:
            self._strangers.popitem(last=False)


class _Failures(Generic[Key]):
    """How often each key has failed, and until when it is blocked (or when it failed last)."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._found: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def is_blocked(self, key: Key, now: float) -> bool:
        found = self._found.get(key)
        return found is not None and now < found[1]

    def add(self, key: Key, free: int, now: float) -> int:
        """Count a failure and return how many there are; from `free` on the key is blocked, ever longer."""
        count, until = self._found.get(key, (0, now))
        count = 1 if now - until > MEMORY_S else count + 1
        blocked_s = min(BLOCK_MAX_S, BLOCK_S * 2 ** min(count - free, 10)) if count >= free else 0.0
        self._found[key] = (count, now + blocked_s)
        self._found.move_to_end(key)
        if len(self._found) > self._keys_max:
            self._found.popitem(last=False)
        return count

    def forgive(self, key: Key) -> None:
        self._found.pop(key, None)

    def blocked(self, now: float) -> int:
        return sum(until > now for _, until in self._found.values())
