"""Which caller id the far end is shown of somebody who calls from the account (kazoo-behaviour 6.6)."""

from .account_directory import AccountDirectory
from .numbers import is_reconcilable
from .profile import CallerId, Profile


async def far_end_caller_id(directory: AccountDirectory, profile: Profile, number: str) -> CallerId:
    """Return the external caller id for public numbers, the internal one otherwise."""
    internal = profile.internal_caller_id
    if not is_reconcilable(number):
        return internal
    external = profile.caller_id("external")
    shown = external.number or await directory.first_public_number() or internal.number
    return CallerId(external.name or internal.name, shown)
