"""What websocket clients may bind, and which sockets are open (kazoo-behaviour 11)."""

from typing import Final

from offhook.api.envelope import Reply
from offhook.api.errors import fault
from offhook.api.lists import plain_list
from offhook.api.request import Request
from offhook.api.routing import Access, Route
from offhook.api.services import ApiServices
from offhook.api.websocket_session import Session
from offhook.app.live_events import CALL_EVENTS, DOCUMENT_ACTIONS
from offhook.directory.model import Json
from offhook.kernel import gregorian_s

from .collections import ACCOUNT_ITEM

BINDINGS: Final = {
    "call": [f"call.{event}.{{CALL_ID}}" for event in CALL_EVENTS],
    "object": [f"object.{action}.{{TYPE}}" for action in DOCUMENT_ACTIONS],
}


class WebsocketEndpoints:
    """`/websockets`."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def available(self, request: Request) -> Reply:
        """GET /websockets: the bindings there are; `*` stands for any part after the first."""
        return Reply(data=BINDINGS)

    async def index(self, request: Request) -> Reply:
        """GET …/websockets: the sockets that logged in to the account on this node."""
        return plain_list([self._item(session) for session in self._sessions(request)])

    async def read(self, request: Request) -> Reply:
        """GET …/websockets/{session}: one of them."""
        wanted = request.arguments["session_id"]
        for session in self._sessions(request):
            if session.id == wanted:
                return Reply(data=self._item(session))
        raise fault("bad_identifier", cause=wanted[:100])

    def _sessions(self, request: Request) -> list[Session]:
        return self._services.open_sockets.of(request.account_id, asked_by=request.caller.account_id)

    def _item(self, session: Session) -> Json:
        item: Json = {
            "websocket_session_id": session.id,
            "bindings": session.bindings,
            "source": session.address,
            "destination": self._services.node,
            "name": session.name,
            "metadata": session.metadata,
            "timestamp": gregorian_s(session.connected_at),
            "account_id": session.account_id,
        }
        return {key: value for key, value in item.items() if value not in ("", {})}

    def routes(self) -> list[Route]:
        """Return their routes."""
        base = f"{ACCOUNT_ITEM}/websockets"
        return [
            Route("websockets", {"GET": self.available}, Access.OPEN),
            Route(base, {"GET": self.index}),
            Route(f"{base}/{{session_id}}", {"GET": self.read}),
        ]
