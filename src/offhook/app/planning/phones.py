"""Phones of the account: whether a device can be rung, and where it is."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from offhook.app.ports import Document
from offhook.sip.errors import RemoteMalformed
from offhook.sip.uri import SipUri

from .account_directory import AccountDirectory
from .numbers import uri_user
from .profile import Profile, Profiles, text_at
from .rings import Binding, DeviceRing

Registrations = Callable[[str], Sequence[Binding]]
"""Returns the live bindings of an address of record such as `sip:dev1@acme.example.com`."""

MAX_BINDINGS: Final = 10
"""As many as the registrar keeps for one address of record."""


class Absent(msgspec.Struct, frozen=True):
    """A device that is not rung, and why."""

    device: Document
    hangup_cause: str
    why: str


class Phones:
    """Finds the phones behind device and user documents."""

    def __init__(self, directory: AccountDirectory, registrations: Registrations, profiles: Profiles) -> None:
        self.directory = directory
        self._profiles = profiles
        self._registrations = registrations

    async def profile_of(self, device: Document) -> Profile:
        """Return device, owner and account as one."""
        owner = await self.directory.owner_of(device)
        return self._profiles.of(self.directory.account, owner, device)

    async def build(self, device: Document) -> DeviceRing | Absent:
        """Return the phone, registered or not; Absent if it is switched off or wants quiet."""
        profile = await self.profile_of(device)
        if not profile.is_enabled:
            return Absent(device, "SUBSCRIBER_ABSENT", "is disabled")
        if profile.does_not_disturb:
            return Absent(device, "CALL_REJECTED", "does not want to be disturbed")
        address = static_address(device, profile)
        if address or not profile.sip_username:
            return DeviceRing(device=device, profile=profile, address=address)
        bindings = self._registrations(address_of_record(profile))
        return DeviceRing(device=device, profile=profile, bindings=tuple(bindings[:MAX_BINDINGS]))

    async def reach(self, device: Document) -> DeviceRing | Absent:
        """Return the phone if it can be rung now."""
        built = await self.build(device)
        if isinstance(built, DeviceRing) and not built.bindings and not built.address:
            return Absent(device, "USER_NOT_REGISTERED", "is not registered")
        return built


def address_of_record(profile: Profile) -> str:
    """Return `sip:user@realm` of a device, in lower case as the registrar keeps it."""
    return f"sip:{profile.sip_username}@{profile.realm}".lower()


def static_address(device: Document, profile: Profile) -> str:
    """Return the Request-URI of a device that needs no registration, or an empty string."""
    static = text_at(device.data, "sip.static_route")
    route = static or text_at(device.data, "sip.route")
    if static or (text_at(device.data, "sip.invite_format") == "route" and route):
        return _as_uri(route, text_at(device.data, "sip.transport"))
    ip = text_at(device.data, "sip.ip")
    if text_at(device.data, "sip.method") == "ip" and ip:
        user = text_at(device.data, "sip.static_invite") or profile.sip_username
        uri = f"sip:{uri_user(user)}@{ip}" if user else f"sip:{ip}"
        return _as_uri(uri, text_at(device.data, "sip.transport"))
    return ""


@lru_cache(maxsize=1_024)  # the phones of a busy account, over and over
def _as_uri(text: str, transport: str) -> str:
    """Return the URI with this transport; empty if it is none (then the phone is unreachable)."""
    try:
        uri = SipUri.parse(text if text[:4].lower().startswith("sip") and ":" in text[:5] else f"sip:{text}")
    except RemoteMalformed:
        return ""
    if transport and not uri.transport:
        uri = uri.with_params(transport=transport.lower())
    return str(uri)
