"""Who dials a number, as far as it decides what the number may lead to (decision 0014)."""

from collections.abc import Callable
from typing import Final

import msgspec

from .classifiers import EMERGENCY
from .errors import CallRestricted, DialOutBarred
from .profile import Profile, value_at

Check = Callable[[Profile, str, str, bool], None]
"""(who pays, number, its class, the callflow names the number itself); raises PlanRefused."""


def _anything(payer: Profile, number: str, classifier: str, is_fixed: bool) -> None:
    """Who asks over HTTP has said who he is, and pays."""


class Dialling(msgspec.Struct, frozen=True, kw_only=True):
    """What a router looks at beside the number."""

    exact_only: bool = False
    """Only a callflow that lists the number: no pattern, no `no_match`."""
    waits: bool = False
    """Who dials is on the line, unanswered: a callflow's early ringback is heard."""
    device_id: str = ""
    """The phone that dials: it is not rung itself."""
    may_leave: Check = _anything
    """Asked before a number goes to carriers."""


OVER_HTTP: Final = Dialling()


def by_phone(caller: Profile) -> Dialling:
    """Return how a phone of the account dials: out only where the account says so, emergencies always."""

    def may_leave(payer: Profile, number: str, classifier: str, is_fixed: bool) -> None:
        if payer is caller and not is_fixed and classifier != EMERGENCY and not may_dial_out(caller):
            raise DialOutBarred(number, classifier=classifier)

    device_id = caller.device.id if caller.device is not None else ""
    return Dialling(waits=True, device_id=device_id, may_leave=may_leave)


def by_trunk(account: Profile) -> Dialling:
    """Return how a carrier dials: exact numbers, and never out again by itself."""

    def may_leave(payer: Profile, number: str, classifier: str, is_fixed: bool) -> None:
        if payer is account and not is_fixed:
            raise CallRestricted(number, classifier=classifier)

    return Dialling(exact_only=True, waits=True, may_leave=may_leave)


def may_dial_out(profile: Profile) -> bool:
    """Tell whether the account lets phones dial out, and neither device nor user is excluded."""
    if value_at(profile.account.data, "dial_out.enabled") is not True:
        return False
    narrower = (document for document in (profile.device, profile.user) if document is not None)
    return all(value_at(document.data, "dial_out.enabled") is not False for document in narrower)
