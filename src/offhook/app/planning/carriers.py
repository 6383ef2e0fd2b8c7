"""Carriers: which resources take a number, in which order, and what is sent to them (kazoo-behaviour 7.6)."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from offhook.app.ports import Document, Json
from offhook.kernel import Random

from .classifiers import EMERGENCY, classify
from .numbers import NUMBER_FORMATS
from .patterns import first_capture
from .profile import Profile, text_at, texts_at, value_at
from .rings import GatewayRing

DEFAULT_WEIGHT: Final = 50
DEFAULT_GRACE_PERIOD_S: Final = 5.0
"""How long a carrier may stay silent before the next one is tried."""
MAX_GATEWAYS: Final = 16
"""Ways tried for one number: beyond that the caller has long hung up."""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that takes the number."""

    resource: Document
    number: str
    """What its rule captured, with the classifier's prefix and suffix."""
    weight: float
    rule: str
    """The rule or classifier that matched, for people."""


def matching_resources(
    resources: Iterable[Document], number: str, *, caller_number: str = "", flags: Sequence[str] = ()
) -> list[Match]:
    """Return the resources that take a normalised number, the lowest weight_cost first."""
    classifier = classify(number)
    matches = [
        match
        for resource in resources
        if _is_eligible(resource, classifier, caller_number=caller_number, flags=flags)
        and (match := _match(resource, number, classifier)) is not None
    ]
    return sorted(matches, key=lambda match: match.weight)


def _is_eligible(resource: Document, classifier: str, *, caller_number: str, flags: Sequence[str]) -> bool:
    data = resource.data
    if data.get("enabled", True) is not True or not _carries_flags(data, flags):
        return False
    if (classifier == EMERGENCY) != _is_for_emergencies(data, classifier):
        return False
    cid_rules = texts_at(data, "cid_rules")
    return not cid_rules or any(first_capture(rule, caller_number) is not None for rule in cid_rules)


def _is_for_emergencies(data: Json, classifier: str) -> bool:
    return data.get("emergency") is True or value_at(data, f"classifiers.{classifier}.emergency") is True


def _carries_flags(data: Json, flags: Sequence[str]) -> bool:
    if data.get("ignore_flags") is True:
        return True
    if not flags:
        return data.get("require_flags") is not True
    return set(flags) <= set(texts_at(data, "flags"))


def _match(resource: Document, number: str, classifier: str) -> Match | None:
    weight = _weight(resource.data, DEFAULT_WEIGHT)
    rules = texts_at(resource.data, "rules")
    for rule in rules:
        captured = first_capture(rule, number)
        if captured is not None:
            return Match(resource=resource, number=captured, weight=weight, rule=rule)
    return None if rules else _match_classifier(resource, number, classifier, weight)


def _match_classifier(resource: Document, number: str, classifier: str, weight: float) -> Match | None:
    entry = value_at(resource.data, f"classifiers.{classifier}")
    if not isinstance(entry, dict) or entry.get("enabled", True) is not True:
        return None
    regex = text_at(entry, "regex")
    captured = first_capture(regex, number) if regex else number
    if captured is None:
        return None
    sent = f"{text_at(entry, 'prefix')}{captured}{text_at(entry, 'suffix')}"
    return Match(resource=resource, number=sent, weight=_weight(entry, weight), rule=f"class {classifier}")


def _weight(data: Json, default: float) -> float:
    weight = data.get("weight_cost")
    return float(weight) if isinstance(weight, int | float) and not isinstance(weight, bool) else default


def _is_usable(gateway: Json) -> bool:
    """Tell whether a gateway is switched on and speaks SIP."""
    return (
        gateway.get("enabled", True) is True
        and text_at(gateway, "server") != ""
        and text_at(gateway, "endpoint_type") in ("", "sip")
    )


def gateways_of(match: Match, *, payer: Profile, caller_kind: str, random: Random) -> list[GatewayRing]:
    """Return the gateways of a resource in the order to try them, with the number to send to each."""
    gateways = [
        gateway
        for gateway in value_at(match.resource.data, "gateways") or ()
        if isinstance(gateway, dict) and _is_usable(gateway)
    ]
    if text_at(match.resource.data, "gateway_strategy") == "random":
        gateways = shuffled(gateways, random)
    return [
        GatewayRing(
            resource=match.resource,
            gateway=gateway,
            number=_number_sent(gateway, match.number),
            payer=payer,
            caller_kind=caller_kind
            if caller_kind == EMERGENCY
            else _caller_kind(gateway, match) or caller_kind,
        )
        for gateway in gateways
    ]


def _caller_kind(gateway: Json, match: Match) -> str:
    return text_at(gateway, "caller_id_type") or text_at(match.resource.data, "caller_id_options.type")


def _number_sent(gateway: Json, number: str) -> str:
    form = NUMBER_FORMATS.get(text_at(gateway, "invite_format"))
    formatted = form(number) if form else number
    return f"{text_at(gateway, 'prefix')}{formatted}{text_at(gateway, 'suffix')}"


def shuffled(items: Sequence[Json], random: Random) -> list[Json]:
    """Return the items in random order."""
    return [
        item for _, item in sorted(((random.uniform(), item) for item in items), key=lambda pair: pair[0])
    ]
