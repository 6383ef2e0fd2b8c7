"""Plans name no upload but the account's own.

Media ids are checked when documents are saved. But imports bring whatever they bring, and media are deleted
while documents name them: then what everybody has is heard, as if there were none.
"""

import msgspec

from offhook.calls.model import CallPlan, EndpointPlan, PartyPlan

from .document_checks import MEDIA_ID, is_own_media
from .ports import Documents

_FIELDS = ("ringback", "music_on_hold", "hold_media")


async def with_own_media(documents: Documents, plan: CallPlan) -> CallPlan:
    """Return a plan without the ids of uploads that are not the account's."""
    foreign = await foreign_media(documents, plan.account_id, _named(plan))
    if not foreign:
        return plan
    kept = {name: "" for name in _FIELDS if getattr(plan, name) in foreign}
    first, second = (_party_without(party, foreign) for party in (plan.first, plan.second))
    return msgspec.structs.replace(plan, first=first, second=second, **kept)


async def foreign_media(documents: Documents, account_id: str, named: set[str]) -> set[str]:
    """Return those media ids that are no uploads of the account. Other texts are everybody's."""
    ids = [text for text in named if MEDIA_ID.match(text)]
    return {id for id in ids if not await is_own_media(documents, account_id, id)}


async def party_with_own_media(documents: Documents, account_id: str, party: PartyPlan) -> PartyPlan:
    """Return a party's plan without the ids of uploads that are not the account's."""
    foreign = await foreign_media(documents, account_id, {one.hold_media for one in party.endpoints})
    return _party_without(party, foreign) if foreign else party


def _named(plan: CallPlan) -> set[str]:
    named = {getattr(plan, name) for name in _FIELDS}
    for party in (plan.first, plan.second):
        named.update(endpoint.hold_media for endpoint in party.endpoints)
    return named


def _party_without(party: PartyPlan, foreign: set[str]) -> PartyPlan:
    steps = tuple(
        msgspec.structs.replace(step, endpoints=tuple(_without(one, foreign) for one in step.endpoints))
        for step in party.steps
    )
    return msgspec.structs.replace(party, steps=steps)


def _without(endpoint: EndpointPlan, foreign: set[str]) -> EndpointPlan:
    if endpoint.hold_media not in foreign:
        return endpoint
    return msgspec.structs.replace(endpoint, hold_media="")
