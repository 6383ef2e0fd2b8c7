"""The HTTP application: the API behind its gate, and what operators ask."""

from typing import Final

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from .endpoints.accounts import AccountEndpoints
from .endpoints.buttons import Buttons
from .endpoints.calls import CallEndpoints
from .endpoints.cdrs import CdrEndpoints
from .endpoints.channels import ChannelEndpoints
from .endpoints.device_actions import DeviceActions
from .endpoints.directory import Callflows, GlobalResources, Resources, Users
from .endpoints.hotdesks import Hotdesks
from .endpoints.limits import LimitEndpoints
from .endpoints.logins import Logins
from .endpoints.media import Media
from .endpoints.phone_numbers import PhoneNumbers
from .endpoints.quickcalls import quickcall_routes
from .endpoints.registrations import RegistrationEndpoints
from .endpoints.resource_collections import GlobalResourceCollections, ResourceCollections
from .endpoints.schemas import SchemaEndpoints
from .endpoints.search import SearchEndpoints
from .endpoints.user_photos import UserPhotos
from .endpoints.webhooks import Webhooks
from .endpoints.websockets import WebsocketEndpoints
from .gate import Gate
from .openapi import Documentation
from .operations import Operations
from .routing import Routes
from .services import ApiServices
from .websocket import Websockets

API_PATHS: Final = ("/v2/", "/v1/")

SIP_PATHS: Final = ("/sip", "/")
"""Where browsers speak SIP: ours, and the one that JsSIP pages written for a server of its own name."""


def create_app(
    services: ApiServices, websockets: Websockets | None = None, *, sip: ASGIApp | None = None
) -> ASGIApp:
    """Return the ASGI application. It starts and stops nothing: its services are alive already.

    From here on a changed account or user is checked anew at its next request. websockets are those that a
    port of their own serves too; sip takes SIP over websockets.
    """
    services.documents.observe(services.auth.forget_changed)
    routes = routes_of(services)
    gate = Gate(services, routes)
    app = Starlette(
        routes=[
            WebSocketRoute("/websocket", websockets or Websockets(services)),
            *([WebSocketRoute(path, sip) for path in SIP_PATHS] if sip is not None else []),
            *Operations(services).routes(),
            *Documentation(routes).routes(),
        ],
    )
    app.router.redirect_slashes = False
    app.router.default = gate  # anything else: 404 in KAZOO's envelope
    return _straight_to(gate, app)


def _straight_to(gate: Gate, app: Starlette) -> ASGIApp:
    """Return the application with a short way to the API: the gate needs no router, and handles its errors.

    The long way through Starlette's layers costs as much as a third of a read.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and scope["path"].startswith(API_PATHS)
        await (gate if is_api else app)(scope, receive, send)

    return application


def routes_of(services: ApiServices) -> Routes:
    """Return the route table of `/v2`."""
    nouns = (
        Logins,
        AccountEndpoints,
        Buttons,
        RegistrationEndpoints,
        Webhooks,
        ChannelEndpoints,
        CdrEndpoints,
        CallEndpoints,
        LimitEndpoints,
        Media,
        PhoneNumbers,
        SchemaEndpoints,
        SearchEndpoints,
        WebsocketEndpoints,
        Users,
        DeviceActions,
        Callflows,
        Resources,
        GlobalResources,
        Hotdesks,
        UserPhotos,
        ResourceCollections,
        GlobalResourceCollections,
    )
    routes = [route for noun in nouns for route in noun(services).routes()]
    return Routes([*routes, *quickcall_routes(services)])
