"""What can be done to a live leg: POST actions and metaflow modules (kazoo-behaviour 8).

KAZOO hands both to an optional application and answers before anything is done. Here each is done at once,
or refused with the reason.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from offhook.api.errors import ApiError, field_fault, plain
from offhook.api.request import Request
from offhook.api.services import ApiServices
from offhook.app.call_transfers import NotBridged, NotTransferable, other_of
from offhook.app.errors import UnknownDocument
from offhook.app.ports import CallView, Document
from offhook.calls.model import By, Leg, LegState

Values = Mapping[str, Any]
"""What the request says beside the action's name."""

Action = Callable[[Request, CallView, Leg, Values], Awaitable[None]]

UNABLE: Final = {
    "say": "this version does not speak",
    "tts": "this version does not speak",
}
"""Actions and modules that KAZOO has and this version has not, and why."""

ATTENDED: Final = "an attended transfer is made by a phone that talks to both (REFER with Replaces)"
BYPASSED: Final = "the media of this call does not pass through this server"
INTERCEPTORS: Final = ("device", "user")
LEGS: Final = ("self", "peer", "both")


class ChannelActions:
    """Actions by name. Each raises ApiError, or what a use case raises."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services
        self._actions: dict[str, Action] = {
            "hangup": self._hang_up,
            "break": self._break,
            "transfer": self._transfer,
            "callflow": self._callflow,
            "intercept": self._intercept,
            "hold": self._hold,
            "unhold": self._unhold,
            "resume": self._unhold,
            "play": self._play,
            "record": self._record,
            "record_call": self._record,
        }

    async def carry_out(
        self, request: Request, found: tuple[CallView, Leg], name: Any, values: Values
    ) -> None:
        """Do what the name says to the leg of the path, or raise why not."""
        word = name if isinstance(name, str) else ""
        action = self._actions.get(word)
        if action is None:
            raise plain(400, "invalid data", UNABLE.get(word, str(name)[:100]))
        view, leg = found
        try:
            await action(request, view, leg, values)
        except NotBridged:
            raise not_bridged() from None
        except NotTransferable as error:
            raise plain(400, "invalid data", str(error)) from None

    async def _hang_up(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        await self._services.calls.hang_up(view.plan.account_id, view.plan.call_id, By.API)

    async def _break(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        """Stop what is played to either party, or take this one back from hold."""
        joined, account_id = self._services.calls.joined, view.plan.account_id
        if not joined.unhold(account_id, leg.leg_id) and not joined.stop_playing(account_id, leg.leg_id):
            raise plain(400, "invalid data", "nothing is played to the channel")

    # --- other people -------------------------------------------------------------------------------

    async def _transfer(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        target = _text(values, "target")
        if not target:
            raise field_fault("target", "required", "No target destination specified")
        other_of(view, leg)
        kind = values.get("transfer-type") or "blind"
        if kind == "attended":
            raise plain(400, "invalid data", ATTENDED)
        if kind != "blind":
            raise _not_one_of("transfer-type", ("blind", "attended"), kind)
        moh = _text(values, "moh")
        await self._check_media(request, "moh", moh)
        await self._services.transfers.transfer(request.target, view, leg, target, ringback=moh)

    async def _callflow(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        callflow = await self._document(request, "id", _text(values, "id"), type="callflow")
        captures = values.get("captures") or ""
        captured = captures[0] if isinstance(captures, list) else captures
        if not isinstance(captured, str):
            raise field_fault("captures", "type", "must be text, or a list of texts")
        if values.get("collected"):
            raise plain(400, "invalid data", "no module of a callflow here asks for collected digits")
        await self._services.transfers.send_to_callflow(request.target, view, leg, callflow, captured)

    async def _intercept(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        kind, target_id = values.get("target_type"), _text(values, "target_id")
        if not kind:
            raise field_fault("target_type", "required", "No target type specified")
        if not target_id:
            raise field_fault("target_id", "required", "No target id specified")
        if kind not in INTERCEPTORS:
            raise _not_one_of("target_type", INTERCEPTORS, kind)
        if values.get("unbridged_only") is True:
            raise plain(400, "invalid data", "only a joined call is intercepted; it is bridged by then")
        endpoint = await self._document(request, "target_id", target_id, type=str(kind))
        await self._services.transfers.intercept(request.target, view, leg, endpoint)

    async def _document(self, request: Request, field: str, id: str, *, type: str) -> Document:
        if not id:
            raise field_fault(field, "required", "Field is required but missing")
        try:
            return await self._services.documents.read(request.account_id, id, type=type)
        except UnknownDocument:
            raise field_fault(field, "not_found", f"there is no such {type}", cause=id[:100]) from None

    # --- media --------------------------------------------------------------------------------------

    async def _hold(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        """Put a leg on hold, with some music or, as the plan says, with the button's or the phone's."""
        media = _text(values, "media") or _text(values, "moh")
        await self._check_media(request, "data.media", media)
        if not self._services.calls.joined.hold(view.plan.account_id, leg.leg_id, media):
            raise not_bridged() if leg.state is not LegState.JOINED else plain(400, "invalid data", BYPASSED)

    async def _unhold(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        if not self._services.calls.joined.unhold(view.plan.account_id, leg.leg_id):
            raise plain(400, "invalid data", "the channel is not on hold")

    async def _play(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        """Play a media once, to this leg, the other, or both."""
        media, to = _text(values, "id") or _text(values, "media"), values.get("leg") or "both"
        if not media:
            raise field_fault("id", "required", "Field is required but missing")
        if to not in LEGS:
            raise _not_one_of("leg", LEGS, to)
        await self._check_media(request, "id", media)
        other = other_of(view, leg)
        wanted = {"self": (leg.leg_id,), "peer": (other.leg_id,), "both": (leg.leg_id, other.leg_id)}[to]
        if not self._services.calls.joined.play(view.plan.account_id, wanted, media):
            raise plain(400, "invalid data", f"a party is on hold, or {BYPASSED}")

    async def _record(self, request: Request, view: CallView, leg: Leg, values: Values) -> None:
        """Begin to record the call, or end that: `record_action` (POST) or `action` (module) says which."""
        wanted = values.get("record_action") or values.get("action")
        if wanted not in ("start", "stop"):
            wanted = "start" if wanted in (None, "record", "record_call") else wanted
        if wanted not in ("start", "stop"):
            raise _not_one_of("action", ("start", "stop"), wanted)
        if values.get("format") not in (None, "", "wav"):
            raise plain(400, "invalid data", "recordings are WAV files")
        if values.get("url"):
            raise plain(400, "invalid data", "recordings are kept here, as media of the account")
        other_of(view, leg)
        if wanted == "stop":
            if not self._services.recordings.stop_recording(view, leg.leg_id):
                raise plain(400, "invalid data", "the call is not recorded")
        elif await self._services.recordings.start(view, leg.leg_id) is None:
            raise plain(400, "invalid data", f"the call is recorded already, or {BYPASSED}")

    async def _check_media(self, request: Request, field: str, media: str) -> None:
        if media and not await self._services.documents.may_play(request.account_id, media):
            raise field_fault(field, "not_found", "there is no such media", cause=media[:100])


def not_bridged() -> ApiError:
    """Return KAZOO's answer to an action that takes two."""
    return field_fault("other_leg_call_id", "required", "Channel is not bridged")


def _text(values: Values, name: str) -> str:
    found = values.get(name)
    return found if isinstance(found, str) else ""


def _not_one_of(field: str, words: tuple[str, ...], given: Any) -> ApiError:
    return field_fault(field, "enum", "Value not found in enumerated list of values", target=list(words),
                       value=str(given)[:100])  # fmt: skip
