"""From a number dialled in the account to things to ring: exact number, pattern, no_match; then the flow."""

from collections.abc import Callable
from typing import Final

import msgspec

from offhook.app.ports import Document
from offhook.kernel import Random

from .account_directory import AccountDirectory
from .dialling import OVER_HTTP, Dialling
from .errors import CallRestricted
from .flow import Walk
from .flow_modules import follow
from .numbers import apply_dial_plan, is_reconcilable, normalise
from .patterns import captures_group, first_capture
from .phones import Phones
from .profile import CallForward, Profile, text_at, texts_at
from .rings import CallerEdit, Diverted, Route

NO_MATCH: Final = "no_match"
MAX_FORWARDS: Final = 3
"""Forwards of forwards followed: two phones forwarded to each other must not spin."""


class Router:
    """Routes numbers inside one account."""

    def __init__(
        self,
        phones: Phones,
        random: Random,
        *,
        for_visitor: bool,
        resting: Callable[[str, str], str] = lambda resource_id, request_uri: "",
        is_down: Callable[[str], bool] = lambda request_uri: False,
    ) -> None:
        self.phones = phones
        self.directory: AccountDirectory = phones.directory
        self.random = random
        self.for_visitor = for_visitor
        """The request was anonymous: it never reaches an emergency number."""
        self.dialling: Dialling = OVER_HTTP
        """Who dials; to be set if it is somebody on the line."""
        self.resting = resting
        """(resource id, Request-URI) → hangup cause of a carrier that wants to be left alone, or empty."""
        self.is_down = is_down
        """Request-URI → whether its server has been silent of late."""

    async def route(
        self,
        number: str,
        *,
        payer: Profile,
        spelled: str = "",
        caller_number: str = "",
        caller_edit: CallerEdit | None = None,
        forwards_left: int = MAX_FORWARDS,
    ) -> Route:
        """Return how a number is reached.

        payer is who dials it: whose call_restriction, outbound flags and caller ids apply where the call
        leaves the account. spelled is the number before it was normalised, which patterns may be written for
        (`^9(\\d{10})$`). Raises CallRestricted, and what `dialling.may_leave` does.
        """
        # who is forwarded to is the account's own choice
        exact_only = self.dialling.exact_only and forwards_left == MAX_FORWARDS
        found = await self._find(number, spelled or number, exact_only=exact_only)
        if found is None:
            words = f"no callflow for {number}, and none for {NO_MATCH}"
            return Route(number=number, words=words, is_known=False)
        callflow, captured, words = found
        walk = Walk(
            router=self,
            number=number,
            captured=captured,
            payer=payer,
            caller_number=caller_number,
            caller_edit=caller_edit or CallerEdit(),
            forwards_left=forwards_left,
        )
        walk.say(words)
        ringback = callflow.data.get("ringback") or {}
        kinds = ("early", "transfer") if self.dialling.waits else ("transfer", "early")
        walk.ringback = text_at(ringback, kinds[0]) or text_at(ringback, kinds[1])
        await follow(walk, callflow.data.get("flow"))
        return walk.route()

    async def _find(self, number: str, spelled: str, *, exact_only: bool) -> tuple[Document, str, str] | None:
        """Return the callflow, what its pattern captured, and the words for it."""
        exact = await self.directory.callflow_of_number(number) if number != NO_MATCH else None
        if exact is not None:
            return exact, "", f"callflow {number}"
        if exact_only:
            return None
        by_pattern = await self._find_by_pattern(number, spelled)
        if by_pattern is not None:
            return by_pattern
        fallback = await self.directory.callflow_of_number(NO_MATCH)
        return (fallback, "", f"callflow {NO_MATCH}") if fallback is not None else None

    async def _find_by_pattern(self, number: str, spelled: str) -> tuple[Document, str, str] | None:
        for callflow in await self.directory.callflows_with_patterns():
            for pattern in texts_at(callflow.data, "patterns"):
                captured = first_capture(pattern, number) or first_capture(pattern, spelled)
                if captured is not None:
                    return callflow, captured if captures_group(pattern) else "", f"callflow {pattern}"
        return None

    async def route_forward(self, walk: Walk, forward: CallForward, forwarder: Profile) -> Route:
        """Return how the number is reached that a device is forwarded to; who forwards pays."""
        number = normalise(apply_dial_plan(forward.number.strip(), forwarder.merged("dial_plan")))
        edit = walk.caller_edit if forward.keep_caller_id else _own_caller(forwarder, number)
        diverted = _diverted(walk, forward, forwarder, number)
        try:
            return await self.route(
                number,
                payer=forwarder,
                caller_number=walk.caller_number,
                caller_edit=msgspec.structs.replace(edit, diverted=(*walk.caller_edit.diverted, diverted)),
                forwards_left=walk.forwards_left - 1,
            )
        except CallRestricted as refusal:
            walk.fail("OUTGOING_CALL_BARRED")
            return Route(number=number, cause="OUTGOING_CALL_BARRED", words=str(refusal))


def _diverted(walk: Walk, forward: CallForward, forwarder: Profile, number: str) -> Diverted:
    """Return who forwards: outside the account by its outside number, if it has one."""
    outside = forwarder.caller_id("external").number if is_reconcilable(number) else ""
    reason = "unconditional" if forward.enabled else "unavailable"
    return Diverted(outside or walk.number, forwarder.realm, reason)


def _own_caller(forwarder: Profile, number: str) -> CallerEdit:
    external = forwarder.caller_id("external")
    shown = external if is_reconcilable(number) and external.number else forwarder.internal_caller_id
    return CallerEdit(name=shown.name, number=shown.number)
