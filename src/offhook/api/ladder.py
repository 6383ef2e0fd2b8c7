"""The timeline of a call as a ladder for people: first party left, offhook in the middle, second right."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from offhook.app.ports import CallView
from offhook.calls.model import Party
from offhook.directory.model import Json

ARROW: Final = 28
"""Characters between two lifelines; a longer message is cut."""

_WORDS: Final = {
    "accepted": "accepted: the journal has it, the caller has the answer",
    "bridged": "joined: both parties hear each other",
}


def draw_ladder(view: CallView, steps: Sequence[Json]) -> str:
    """Return the ladder: milliseconds since the call was accepted, then who sent what to whom.

    steps are those of CallService.timeline. Legs that rang beside others are numbered: `INVITE (2)`.
    """
    legs = _legs(view)
    start = datetime.fromisoformat(steps[0]["at"]) if steps else None
    lines = [_heading(view), ""]
    for step in steps:
        at = datetime.fromisoformat(step["at"])
        after_ms = round((at - start).total_seconds() * 1000) if start else 0
        lines += [f"{after_ms:>7} ms  {text}" for text in _step(step, legs)]
    return "".join(f"{line.rstrip()}\n" for line in lines)


Place = tuple[Party, int]
"""Of a leg: whose it is, and its number among the legs of that party (0 if it is the only one)."""


def _legs(view: CallView) -> dict[str, Place]:
    """Return where each leg is drawn; one that a transfer brought stands at the side of whom it replaces."""
    places: dict[str, Place] = {}
    for party, plan in ((Party.FIRST, view.plan.first), (Party.SECOND, view.plan.second)):
        ids = [endpoint.leg_id for endpoint in plan.endpoints]
        ids += [leg.leg_id for leg in view.legs if leg.number and leg.party is party]
        for number, leg_id in enumerate(ids, 1):
            places[leg_id] = (party, number if len(ids) > 1 else 0)
    return places


def _heading(view: CallView) -> str:
    first = f"{view.plan.first.number} ({view.plan.first.side})"
    second = f"{view.plan.second.number} ({view.plan.second.side})"
    return f"{'':12}{first:<{ARROW}}{'offhook':^10}{second:>{ARROW}}"


def _step(step: Json, legs: dict[str, Place]) -> Iterator[str]:
    what = step["what"]
    if what == "request":
        yield f"{'':4}* asked: {step['method']} {step['path']} from {step['address']}"
    elif what == "decision" and step["about"] == "party":
        yield f"{'':4}* {step['party']} party: {step['route'] or step.get('unreachable_cause', '')}"
    elif what == "media":
        yield f"{'':4}* leg{_numbered(step, legs)} {step['event']}"
    elif what == "sip":
        yield _arrow(step, legs.get(step["leg_id"], (Party.FIRST, 0)))
    elif what in _WORDS:
        yield f"{'':4}* {_WORDS[what]}"
    elif what == "leg_ended":
        yield f"{'':4}* leg{_numbered(step, legs)} over: {step['hangup_cause']}{_code(step)}"
    elif what == "transfer_begun":
        leaving = _numbered({"leg_id": step["leaving_leg_id"]}, legs)
        yield f"{'':4}* transfer ({step['handover']}) in place{leaving}: {step['route'] or step['number']}"
    elif what == "transfer_failed":
        yield f"{'':4}* transfer failed: {step['hangup_cause']}{_code(step)}"
    elif what == "linked":
        yield f"{'':4}* joined to leg {step['other_leg_id']} of {step['other_call_id']}"
    elif what == "ended":
        yield f"{'':4}* ended: {step['outcome']}, by {step['by']}, {step['hangup_cause']}"


def _numbered(step: Json, legs: dict[str, Place]) -> str:
    party, number = legs.get(step["leg_id"], (Party.NONE, 0))
    return f" of the {party} party" + (f" ({number})" if number else "")


def _code(step: Json) -> str:
    return f" (SIP {step['sip_code']})" if step.get("sip_code") else ""


def _arrow(step: Json, place: Place) -> str:
    party, number = place
    message = step["message"] + (f" ({number})" if number else "")
    outgoing = step["direction"] == "out"
    points_right = outgoing == (party is Party.SECOND)
    label = f" {message[: ARROW - 6]} ".center(ARROW - 1, "─")
    line = f"{label}>" if points_right else f"<{label}"
    if party is Party.SECOND:
        return f"│{'':{ARROW}}│{line}│"
    return f"│{line}│{'':{ARROW}}│"
