"""Header fields of the INVITE of a leg: identity, auto-answer, ringtone, privacy, and the custom ones."""

import re
from collections.abc import Sequence
from typing import Final

from offhook.app.ports import Json

from .auto_answer import Ask
from .numbers import has_controls, uri_user
from .profile import CallerId, object_at, text_at
from .rings import DeviceRing, Diverted, Headers

PRESENCE_HEADER: Final = "X-KAZOO-Presence-ID"
"""Tells a phone or proxy under which identity the leg is seen by BLF lamps."""
ANONYMOUS: Final = CallerId("Anonymous", "anonymous")
ANONYMOUS_URI: Final = "sip:anonymous@anonymous.invalid"
"""RFC 3323 section 4.1.1.3."""

_REMOTE_PARTY_PRIVACY: Final = {"full": "full", "name": "name", "number": "uri"}
_HISTORY_CAUSE: Final = {"unconditional": 302, "unavailable": 503}
"""RFC 4458: the cause parameter of who was called because of it."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,128}")
_OWN: Final = frozenset(
    (
        "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "contact", "m", "content-length", "l",
        "content-type", "c", "route", "record-route", "max-forwards", "authorization", "proxy-authorization",
        "require", "proxy-require", "supported", "k", "content-encoding", "e",
    )
)  # fmt: skip
"""Fields the SIP stack itself writes: a second one would break the dialog. Documents that name them are
refused when saved; those that came in another way are left out here."""


def merge_headers(*layers: Headers) -> Headers:
    """Return the fields of all layers; a later one replaces an earlier one of the same name."""
    merged: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, value in layer:
            merged[name.lower()] = (name, value)
    return tuple(merged.values())


def custom_headers(data: Json, *, direction: str) -> Headers:
    """Return the custom_sip_headers of a document that go out (flat ones too) or came in.

    Names that the stack owns or that are no token, and values with line breaks, are left out.
    """
    headers = object_at(data, "custom_sip_headers")
    if not headers:
        return ()
    chosen: Json = object_at(headers, direction)
    if direction == "out":
        flat = {name: value for name, value in headers.items() if not isinstance(value, dict)}
        chosen = {**flat, **chosen}
    return tuple((name, str(value)) for name, value in chosen.items() if _is_sendable(name, value))


def _is_sendable(name: str, value: object) -> bool:
    return (
        isinstance(value, str | int | float)
        and _TOKEN.fullmatch(name) is not None
        and name.lower() not in _OWN
        and not has_controls(str(value))
    )


def device_headers(ring: DeviceRing, *, presence_id: str, tone: str, asked: Ask | None) -> Headers:
    """Return the fields that a phone of the account gets; asked if it is to answer by itself."""
    device = ring.device.data
    aor = f"sip:{uri_user(ring.profile.sip_username)}@{ring.profile.realm}"
    own: list[tuple[str, str]] = [("X-KAZOO-AOR", aor)] if ring.profile.sip_username else []
    if text_at(device, "sip.invite_format") in ("", "contact") and not ring.address:
        own.append(("X-KAZOO-INVITE-FORMAT", "contact"))
    if presence_id:
        own.append((PRESENCE_HEADER, presence_id))
    if asked is not None:
        own += asked.headers
    elif tone:
        own.append(("Alert-Info", tone))
    sip = object_at(device, "sip")
    return merge_headers(tuple(own), custom_headers(sip, direction="out"), ring.headers)


def ringtone_of(ring: DeviceRing, *, is_internal: bool) -> str:
    """Return the ringtone that group or phone want for this side of the account, or an empty string."""
    if ring.alert_info:
        return ring.alert_info
    value = ring.profile.setting("ringtones.internal" if is_internal else "ringtones.external")
    return value if isinstance(value, str) else ""


def identity_headers(caller: CallerId, realm: str, *, form: str, privacy: str) -> Headers:
    """Return who calls, for a trunk that is trusted to keep it to itself.

    form is the gateway's `identity_header`: `asserted` (RFC 3325, also if it says nothing), `remote_party`
    (its forerunner, which some trunks still want), `both` or `none`.
    """
    who = f"{_quoted(caller.name)}<sip:{uri_user(caller.number)}@{realm}>"
    fields: Headers = ()
    if form in ("", "asserted", "both"):
        fields += (("P-Asserted-Identity", who),)
    if form in ("remote_party", "both"):
        hidden = _REMOTE_PARTY_PRIVACY.get(privacy, "off")
        fields += (("Remote-Party-ID", f"{who};party=calling;screen=yes;privacy={hidden}"),)
    return fields


def diversion_headers(diverted: Sequence[Diverted], target: str) -> Headers:
    """Return who forwarded the call: Diversion, the last first (RFC 5806), and History-Info (RFC 7044).

    target is the Request-URI it goes to now.
    """
    if not diverted:
        return ()
    uris = [f"sip:{uri_user(one.number)}@{one.realm}" for one in diverted]
    diversion = ", ".join(
        f"<{uri}>;reason={one.reason};counter=1"
        for uri, one in zip(reversed(uris), reversed(diverted), strict=True)
    )
    history, index = [f"<{uris[0]}>;index=1"], "1"
    for uri, one in zip((*uris[1:], target.partition(";")[0]), diverted, strict=True):
        came_from, index = index, f"{index}.1"
        history.append(f"<{uri};cause={_HISTORY_CAUSE[one.reason]}>;index={index};mp={came_from}")
    return (("Diversion", diversion), ("History-Info", ", ".join(history)))


def _quoted(name: str) -> str:
    if not name:
        return ""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" '


def hide_caller(caller: CallerId, privacy: str) -> tuple[CallerId, Headers]:
    """Return what From shows under a privacy setting, and the Privacy field (RFC 3323)."""
    if privacy == "full":
        return ANONYMOUS, (("Privacy", "id"),)
    if privacy == "name":
        return CallerId(ANONYMOUS.name, caller.number), (("Privacy", "id"),)
    if privacy == "number":
        return CallerId(caller.name, ANONYMOUS.number), (("Privacy", "id"),)
    return caller, ()
