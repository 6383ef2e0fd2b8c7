"""How documents change, and what is made up for those who do not say it."""

from typing import Any, Final

from offhook.kernel import Random

from .model import Json

DEFAULT_LANGUAGE: Final = "en-us"
DEFAULT_TIMEZONE: Final = "America/Los_Angeles"
"""KAZOO's, for accounts whose parent has none."""

MERGE_DEPTH_MAX: Final = 200
"""As deep as `validation.NESTING_MAX`; what lies deeper is replaced whole, and refused there."""


def merge(stored: Json, patch: Json) -> Json:
    """Return what a PATCH makes of a document: objects merge deeply, lists are replaced, null removes.

    Neither argument is changed. The server's own keys in a patch do nothing: validation drops them.
    """
    return _merge(stored, patch, MERGE_DEPTH_MAX)


def _merge(stored: Json, patch: Json, levels: int) -> Json:
    merged = dict(stored)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and levels:
            below: Any = merged.get(key)
            merged[key] = _merge(below if isinstance(below, dict) else {}, value, levels - 1)
        else:
            merged[key] = value
    return merged


def complete_account(data: Json, *, random: Random, realm_suffix: str, parent: Json | None = None) -> Json:
    """Return an account's data with a realm (`3f9a1c.sip.example.com`), language and time zone."""
    parent = parent or {}
    made_up = {
        "language": parent.get("language", DEFAULT_LANGUAGE),
        "timezone": parent.get("timezone", DEFAULT_TIMEZONE),
    }
    if not data.get("realm"):
        return made_up | data | {"realm": f"{random.hex(6)}.{realm_suffix.lstrip('.')}"}
    return made_up | data


def complete_device(data: Json, *, random: Random, realm: str = "") -> Json:
    """Return a device's data with a SIP username and password; a realm equal to the account's is dropped.

    A device that proves itself by its address needs neither.
    """
    sip = data.get("sip")
    if not isinstance(sip, dict):
        return data  # validation names the fault
    if isinstance(sip.get("realm"), str) and sip["realm"].lower() == realm.lower():
        sip = {key: value for key, value in sip.items() if key != "realm"}
    if sip.get("method", "password") == "password":
        made_up = {"username": f"user_{random.hex(10)}", "password": random.hex(12)}
        sip = sip | {key: value for key, value in made_up.items() if not sip.get(key)}
    return data | {"sip": sip}
