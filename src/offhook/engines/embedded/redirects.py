"""Refusals that name other addresses (RFC 3261 8.1.3.4, 21.3): which may be rung, and what those are told."""

import re
from dataclasses import dataclass
from typing import Final

from offhook.app.planning.contacts import MAX_URI_LENGTH, is_host_allowed
from offhook.calls.model import EndpointPlan
from offhook.sip.commands import HeaderLines
from offhook.sip.errors import RemoteMalformed
from offhook.sip.grammar import NameAddr
from offhook.sip.message import Response
from offhook.sip.uri import SipUri

FOLLOWED: Final = frozenset((300, 301, 302))
"""305 would make the peer choose our proxy, 380 offers another service."""
MAX_TARGETS: Final = 8
"""Contacts looked at; who lists more is not serious."""
_last_index = re.compile(r".*;\s*index=([0-9.]{1,64})", re.DOTALL | re.IGNORECASE).match


@dataclass(frozen=True, slots=True)
class RedirectRules:
    """What holds for the node; the endpoint's own word goes before it."""

    follows: bool = False
    """Redirects are followed where the endpoint does not say."""
    hosts: frozenset[str] = frozenset()
    """Where to, beside the endpoint's own: `host`, `host:port`, `*.domain`."""


def targets_of(rules: RedirectRules, endpoint: EndpointPlan, response: Response | None) -> tuple[str, ...]:
    """Return the Request-URIs of a 3xx that may be rung, the best first; none if it is not to be followed."""
    redirect = endpoint.redirect
    follows = rules.follows if redirect.follow is None else redirect.follow
    if response is None or response.status not in FOLLOWED or not follows:
        return ()
    try:
        contacts = response.contacts[:MAX_TARGETS]
    except RemoteMalformed:
        return ()
    allowed = (*redirect.hosts, *rules.hosts)
    found = [(_q(contact), uri) for contact in contacts if (uri := _target(contact.uri, allowed))]
    return tuple([uri for _, uri in sorted(found, key=lambda pair: -pair[0])])


def _q(contact: NameAddr) -> float:
    """Return the preference of a Contact, 1 if it names none (20.10)."""
    try:
        q = float(contact.params.get("q") or "1")
    except ValueError:
        return 0.0
    return q if 0.0 <= q <= 1.0 else 0.0


def _target(text: str, allowed: tuple[str, ...]) -> str:
    """Return a URI to ring, without headers; empty if it is none, or not allowed."""
    if len(text) > MAX_URI_LENGTH:
        return ""
    try:
        uri = SipUri.parse(text.partition("?")[0])
    except RemoteMalformed:
        return ""
    if uri.params.get("maddr") is not None or uri.password is not None:  # leads elsewhere than it says
        return ""
    return str(uri) if is_host_allowed(uri, allowed) else ""


def with_history(endpoint: EndpointPlan) -> HeaderLines:
    """Return the header fields of an endpoint: if it was redirected, with Diversion and History-Info."""
    tried = endpoint.redirect.tried
    if not tried:
        return endpoint.headers
    kept = [line for line in endpoint.headers if line[0].lower() not in ("diversion", "history-info")]
    told = {name.lower(): value for name, value in endpoint.headers}
    uris = [uri.partition(";")[0] for uri in (*tried, endpoint.request_uri)]
    diversion = [f"<{uri}>;reason=unconditional;counter=1" for uri in reversed(uris[:-1])]
    history = [told["history-info"]] if "history-info" in told else [f"<{uris[0]}>;index=1"]
    known = _last_index(history[0])
    index = known[1] if known else "1"
    for uri in uris[1:]:
        came_from, index = index, f"{index}.1"
        history.append(f"<{uri};cause=302>;index={index};mp={came_from}")
    earlier = [told["diversion"]] if "diversion" in told else []
    return (
        *kept,
        ("Diversion", ", ".join([*diversion, *earlier])),
        ("History-Info", ", ".join(history)),
    )
