"""What requests cost in tokens of the rate limit, as KAZOO's `token_costs` says it (kazoo-behaviour 4)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

ENTRIES_MAX: Final = 1_000
"""Costs that can be set; looking one up takes the same time whatever their number."""

COST_MAX: Final = 1_000_000

ANYTHING: Final = "*"

METHODS: Final = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE"})

_ACCOUNT: Final = re.compile(r"[0-9a-f]{32}\Z")
_WORD: Final = re.compile(r"[a-z_]{1,64}\Z")

Key = tuple[str, ...]
"""Account id or an empty text, then one or two words."""


class TokenCosts:
    """Costs by account, endpoint and verb; the most specific entry counts."""

    def __init__(self, entries: Mapping[Key, int]) -> None:
        self._entries = dict(entries)
        self._accounts = frozenset(key[0] for key in entries if key[0])
        self._known: dict[tuple[str, Sequence[str], str], int] = {}

    @classmethod
    def parse(cls, text: str) -> "TokenCosts":
        """Read `*=1, user_auth=35, devices/PUT=2, 0f8c…/quickcall=0`. Raises ValueError naming the entry.

        Before `=` stand an account's id, if it is for one account only, an endpoint as in the path of the
        API, and a verb, or a word that comes after the endpoint; `*` is for what nothing else is said of.
        """
        entries = [entry.strip() for entry in text.split(",") if entry.strip()]
        if len(entries) > ENTRIES_MAX:
            raise ValueError(f"more than {ENTRIES_MAX} entries")
        return cls(dict(_entry(entry) for entry in entries))

    def cost(self, words: Sequence[str], method: str, account_id: str, *, default: int) -> int:
        """Return what a request costs; words are the literal ones of its path (`devices`, `quickcall`)."""
        if not self._entries:
            return default
        asked = (account_id if account_id in self._accounts else "", words, method)
        known = self._known.get(asked)
        if known is None:
            found = (self._entries.get(key) for key in _keys(words, method, asked[0]))
            known = self._known[asked] = next((cost for cost in found if cost is not None), default)
        return known


def _keys(words: Sequence[str], method: str, account_id: str) -> Iterator[Key]:
    """Yield what a request may be named by, most specific first, in KAZOO's order."""
    for account in (account_id, "") if account_id else ("",):
        for word in reversed(words):
            yield (account, word, method)
        if len(words) > 1:
            yield (account, words[0], words[-1])
        for word in reversed(words):
            yield (account, word)
        yield (account, ANYTHING)


def _entry(text: str) -> tuple[Key, int]:
    path, equals, number = text.partition("=")
    words = path.strip().split("/")
    account = words.pop(0) if _ACCOUNT.match(words[0]) else ""
    if not equals or not _is_name(words or [ANYTHING]):
        raise ValueError(f"{text[:100]!r} is not [ACCOUNT/]ENDPOINT[/VERB]=COST")
    cost = number.strip()
    if not cost.isascii() or not cost.isdecimal() or int(cost[:9]) > COST_MAX:
        raise ValueError(f"{text[:100]!r}: a cost is a whole number up to {COST_MAX}")
    return (account, *(words or [ANYTHING])), int(cost)


def _is_name(words: Sequence[str]) -> bool:
    if len(words) > 2:
        return False
    if words[0] == ANYTHING:
        return len(words) == 1
    return bool(_WORD.match(words[0])) and all(w in METHODS or _WORD.match(w) for w in words[1:])
