"""The timeline of a call: the request, what was decided, the facts, the signalling, the media, in order."""

from collections.abc import Iterable, Sequence
from typing import Final

from offhook.calls.events import CallEnded, CallLinked, Fact, LegRedirected, TransferBegun, decode_fact
from offhook.calls.model import CallPlan, PartyPlan
from offhook.kernel import iso8601_ms

from .ports import JournalEntry, Json, StoredCall, TraceLine

TRANSFER_TAG: Final = b"transfer_begun"
REDIRECT_TAG: Final = b"leg_redirected"

_SHOWN: Final = frozenset(
    (
        "leg_id", "party", "side", "endpoint_id", "sip_code", "media", "first_leg_id", "second_leg_id",
        "hangup_cause", "sip_reason", "by_peer", "recording_id", "is_on", "is_held",
    )
)  # fmt: skip
"""Fields of facts that people may want to see; what an engine keeps for itself stays out."""


def timeline_of(
    stored: StoredCall, entries: Iterable[JournalEntry], traces: Iterable[tuple[str, Sequence[TraceLine]]]
) -> list[Json]:
    """Return what happened: `{"at": ISO 8601, "what": …, …}`. traces are (leg id, its signalling)."""
    plan, at = stored.plan, stored.accepted_at
    moments = [(at, step) for step in (*_request(plan), *_decisions(plan), {"what": "accepted"})]
    moments += [(entry.at, _fact(entry)) for entry in entries]
    moments += [(line.at, _signal(leg_id, line)) for leg_id, lines in traces for line in lines]
    moments.sort(key=lambda moment: moment[0])  # stable: what has the same time stays in the order above
    return [{"at": iso8601_ms(at)} | step for at, step in moments]


def leg_ids(plan: CallPlan, entries: Iterable[JournalEntry] = ()) -> list[str]:
    """Return the legs that a plan and its transfers may ring, in order."""
    tags = (TRANSFER_TAG, REDIRECT_TAG)
    facts = [decode_fact(entry.fact) for entry in entries if any(tag in entry.fact for tag in tags)]
    targets = [fact.transfer.target for fact in facts if isinstance(fact, TransferBegun)]
    redirected = [fact.endpoint.leg_id for fact in facts if isinstance(fact, LegRedirected)]
    parties = (plan.first, plan.second, *targets)
    return [endpoint.leg_id for party in parties for endpoint in party.endpoints] + redirected


def _request(plan: CallPlan) -> list[Json]:
    origin = plan.origin
    if origin is None:
        return []
    return [
        {
            "what": "request",
            "method": origin.method,
            "path": origin.path,
            "request_id": origin.request_id,
            "address": origin.address,
            "caller": "visitor" if plan.visitor else "api",
        }
    ]


def _decisions(plan: CallPlan) -> list[Json]:
    """Return what the plan decided: how each party is reached, and how they will hear each other."""
    return [
        _party("first", plan.first),
        _party("second", plan.second),
        {"what": "decision", "about": "media", "media": str(plan.media), "ringback": plan.ringback},
    ]


def _party(name: str, party: PartyPlan) -> Json:
    step: Json = {
        "what": "decision",
        "about": "party",
        "party": name,
        "side": str(party.side),
        "number": party.number,
        "route": party.route,
        "endpoints": sum(len(ring.endpoints) for ring in party.steps),
    }
    return step if party.steps else step | {"unreachable_cause": party.unreachable_cause}


def _fact(entry: JournalEntry) -> Json:
    fact = decode_fact(entry.fact)
    return {"what": _tag(fact), "sequence": entry.sequence} | _fields(fact)


def _signal(leg_id: str, line: TraceLine) -> Json:
    if line.kind == "media":
        return {"what": "media", "leg_id": leg_id, "event": line.summary}
    return {
        "what": "sip",
        "leg_id": leg_id,
        "direction": "out" if line.outgoing else "in",
        "message": line.summary,
        "peer": line.peer,
    }


def _tag(fact: Fact) -> str:
    return str(fact.__struct_config__.tag)


def _fields(fact: Fact) -> Json:
    if isinstance(fact, CallEnded):
        ending = fact.ending
        words = {name: str(getattr(ending, name)) for name in ("outcome", "party", "side", "by")}
        return words | {
            "hangup_cause": ending.hangup_cause,
            "sip_code": ending.sip_code,
            "sip_reason": ending.sip_reason,
        }
    if isinstance(fact, TransferBegun):
        transfer = fact.transfer
        return {
            "staying_leg_id": transfer.staying_leg_id,
            "leaving_leg_id": transfer.leaving_leg_id,
            "handover": str(transfer.handover),
            "by": str(transfer.by),
            "number": transfer.target.number,
            "route": transfer.target.route,
        }
    if isinstance(fact, LegRedirected):
        return {"leg_id": fact.leg_id, "next_leg_id": fact.endpoint.leg_id, "uri": fact.endpoint.request_uri}
    if isinstance(fact, CallLinked):
        link = fact.link
        return {name: getattr(link, name) for name in link.__struct_fields__}
    return {name: getattr(fact, name) for name in fact.__struct_fields__ if name in _SHOWN}
