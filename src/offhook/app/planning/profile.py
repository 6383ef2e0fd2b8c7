"""What account, user and device say together: the more specific one wins (kazoo-behaviour 6.5, 6.6)."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from offhook.app.ports import Document, Json

PROFILES_MAX: Final = 10_000
"""About 1 KB each; as many as the store remembers documents."""

_PRIVACIES: Final = frozenset(("full", "name", "number"))


class CallerId(msgspec.Struct, frozen=True):
    """A name and a number, as shown to the person who is rung."""

    name: str = ""
    number: str = ""


class CallForward(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls to a device go instead, or as well."""

    number: str
    enabled: bool
    """False: only when the device is unreachable (failover)."""
    substitute: bool
    keep_caller_id: bool
    direct_calls_only: bool


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The documents that speak for one endpoint, or for the account alone.

    Without slots: what every leg asks for is worked out once.
    """

    account: Document
    user: Document | None = None
    device: Document | None = None

    def _levels(self) -> list[Json]:
        """Return their data, the most specific first."""
        documents = (self.device, self.user, self.account)
        return [document.data for document in documents if document is not None]

    def setting(self, path: str) -> Any:
        """Return the most specific value at a dotted path, or None."""
        return next((found for data in self._levels() if (found := value_at(data, path)) is not None), None)

    def merged(self, key: str) -> Json:
        """Return an object merged over the levels; a key of the more specific one wins."""
        merged: Json = {}
        for data in reversed(self._levels()):
            merged |= object_at(data, key)
        return merged

    @cached_property
    def is_enabled(self) -> bool:
        """Tell whether device and owner are switched on."""
        return all(document.data.get("enabled", True) for document in (self.device, self.user) if document)

    @cached_property
    def does_not_disturb(self) -> bool:
        """Tell whether account, user or device wants quiet."""
        return any(value_at(data, "do_not_disturb.enabled") is True for data in self._levels())

    @cached_property
    def sip_username(self) -> str:
        """The device's SIP user name."""
        return text_at(self.device.data, "sip.username") if self.device else ""

    @cached_property
    def realm(self) -> str:
        """The device's realm: its own or the account's."""
        own = text_at(self.device.data, "sip.realm") if self.device else ""
        return own or text_at(self.account.data, "realm")

    @cached_property
    def presence_id(self) -> str:
        """`user@realm` of the device: its own, its owner's, or its SIP user name."""
        own = text_at(self.device.data, "presence_id") if self.device else ""
        owners = text_at(self.user.data, "presence_id") if self.user else ""
        presence = own or owners or self.sip_username
        return presence if not presence or "@" in presence else f"{presence}@{self.realm}"

    @cached_property
    def call_forward(self) -> CallForward | None:
        """The forward in force: an enabled one before one for failover, the device's before the user's."""
        forwards = [
            object_at(document.data, "call_forward") for document in (self.device, self.user) if document
        ]
        usable = [forward for forward in forwards if forward.get("number")]
        for wanted in ("enabled", "failover"):
            for forward in usable:
                if forward.get(wanted) is True:
                    return _call_forward(forward, enabled=wanted == "enabled")
        return None

    @cached_property
    def hold_media(self) -> str:
        """What the other party hears that is put on hold here: the device's, the user's or the account's."""
        media = self.setting("music_on_hold.media_id")
        return media if isinstance(media, str) else ""

    @cached_property
    def outbound_privacy(self) -> str:
        """`full`, `name`, `number`, or empty for none."""
        word = self.setting("caller_id_options.outbound_privacy")
        return word if word in _PRIVACIES else ""

    def denies(self, classifier: str) -> bool:
        """Tell whether any level denies a class of numbers."""
        return any(
            value_at(object_at(data, "call_restriction"), f"{classifier}.action") == "deny"
            for data in self._levels()
        )

    def caller_id(self, kind: str) -> CallerId:
        """Return the configured `internal`, `external` or `emergency` caller id; parts may be empty.

        The user's wins over the device's unless the account says prefer_device_caller_id; for emergencies
        the device's wins, for it knows where it stands.
        """
        device_first = kind == "emergency" or self.account.data.get("prefer_device_caller_id") is True
        order = (self.device, self.user) if device_first else (self.user, self.device)
        levels = [document.data for document in (*order, self.account) if document is not None]
        return CallerId(
            name=next((text for data in levels if (text := text_at(data, f"caller_id.{kind}.name"))), ""),
            number=next((text for data in levels if (text := text_at(data, f"caller_id.{kind}.number"))), ""),
        )

    @property
    def asserted_realm(self) -> str:
        """Domain of the configured asserted identity, or empty."""
        realm = self.setting("caller_id.asserted.realm")
        return realm if isinstance(realm, str) else ""

    @property
    def full_name(self) -> str:
        """`first last` of the owner, or empty."""
        if self.user is None:
            return ""
        return f"{text_at(self.user.data, 'first_name')} {text_at(self.user.data, 'last_name')}".strip()

    @property
    def internal_caller_id(self) -> CallerId:
        """The caller id for calls inside the account: configured, or owner's name and presence id."""
        configured = self.caller_id("internal")
        device_name = text_at(self.device.data, "name") if self.device else ""
        fallback = self.presence_id or (text_at(self.user.data, "presence_id") if self.user else "")
        return CallerId(
            name=configured.name or self.full_name or device_name,
            number=configured.number or fallback.partition("@")[0],
        )


class Profiles:
    """Profiles made lately: what they have worked out is good until one of their documents changes."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], Profile] = {}

    def of(self, account: Document, user: Document | None, device: Document) -> Profile:
        """Return the profile of a phone, with exactly these documents."""
        key = (account.id, device.id)
        made = self._made.get(key)
        if made is None or made.device is not device or made.user is not user or made.account is not account:
            if len(self._made) >= PROFILES_MAX:
                self._made.clear()
            made = self._made[key] = Profile(account=account, user=user, device=device)
        return made


def _call_forward(forward: Json, *, enabled: bool) -> CallForward:
    return CallForward(
        number=str(forward["number"]),
        enabled=enabled,
        substitute=forward.get("substitute") is not False,
        keep_caller_id=forward.get("keep_caller_id") is not False,
        direct_calls_only=forward.get("direct_calls_only") is True,
    )


def value_at(data: Json, path: str) -> Any:
    """Return the value at a dotted path; None if a step is missing or no object."""
    value: Any = data
    for key in _keys(path):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


@lru_cache(maxsize=512)
def _keys(path: str) -> tuple[str, ...]:
    """Split a path once: there are some hundred, all ours, and a plan looks at them again and again."""
    return tuple(path.split("."))


def object_at(data: Json, path: str) -> Json:
    """Return the object at a dotted path, empty if there is none. Not a copy: it must not be changed."""
    value = value_at(data, path)
    return value if isinstance(value, dict) else {}


def text_at(data: Json, path: str) -> str:
    """Return the string at a dotted path, empty if there is none."""
    value = value_at(data, path)
    return value if isinstance(value, str) else ""


def texts_at(data: Json, path: str) -> tuple[str, ...]:
    """Return the strings of the array at a dotted path."""
    value = value_at(data, path)
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def seconds_at(data: Json, path: str) -> float:
    """Return the positive number at a dotted path; 0 if there is none."""
    value = value_at(data, path)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value > 0 else 0.0
