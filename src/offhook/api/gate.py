"""The way every request goes, in KAZOO's order (kazoo-behaviour 1.2), but 401 before 404 of an account."""

import re
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram

from offhook.app.auth import ExpiredToken
from offhook.app.call_tokens import CallPass
from offhook.app.errors import WrongCredentials
from offhook.app.limits import TokenBuckets
from offhook.app.quirks import ACCEPTED_IS_200
from offhook.app.tokens import Principal
from offhook.kernel import OffhookError

from . import audit
from .coding import compressed
from .envelope import Answer, Reply, options_answer, render, render_error
from .errors import ApiError, fault, field_fault, from_app, plain
from .request import BODY_MAX_BYTES, FILE_MAX_BYTES, METHODS, ClientGone, Request
from .routing import LOGIN_COST, METHOD_ORDER, Access, Route, Routes
from .services import ApiServices

log = structlog.get_logger("offhook.api")

VERSIONS: Final = frozenset({"v1", "v2"})
"""`/v1` is answered as `/v2` (KAZOO: 410)."""

ACCOUNT_ID: Final = re.compile(r"[0-9a-f]{32}\Z")

NOT_ROUTED: Final = "none"

WITHOUT_BODY: Final = frozenset({204, 304})
"""RFC 9110 8.6: these carry no Content-Length of an empty body."""


class Gate:
    """Pure ASGI application for `/v2`: parses, authenticates, limits, dispatches, answers."""

    def __init__(self, services: ApiServices, routes: Routes) -> None:
        self._services = services
        self._routes = routes
        self._node = services.node
        settings = services.settings
        self._trusted_proxies = settings.trusted_proxies
        self._buckets = TokenBuckets(settings.rate_bucket, settings.rate_refill_per_s)
        self._costs = settings.token_costs
        self._requests = Counter(
            "offhook_http_requests", "Answers by route and status.", ("route", "method", "status"),
            registry=services.metrics,
        )  # fmt: skip
        self._seconds = Histogram(
            "offhook_http_request_seconds", "Time to answer.", ("route",), registry=services.metrics
        )

        self._counters: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        began = self._services.clock.monotonic()
        request = Request(
            scope, request_id=self._services.random.hex(32), trusted_proxies=self._trusted_proxies
        )
        request.receive = receive
        try:
            answer = await compressed(request, await self._answer(request, receive))
        except ClientGone:
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": _sized(answer)})
        if answer.stream is None:
            await send({"type": "http.response.body", "body": answer.body})
        self._count(request, answer.status, self._services.clock.monotonic() - began)
        if answer.stream is not None:
            await answer.stream(scope, receive, send)

    def _count(self, request: Request, status: int, seconds: float) -> None:
        """Count an answer. Counters are looked up once for each kind of answer, of which there are few."""
        kind = (request.route, request.method, status)
        counters = self._counters.get(kind)
        if counters is None:
            label = request.route or NOT_ROUTED
            method = request.method if request.method in METHODS else NOT_ROUTED
            counters = (self._requests.labels(label, method, status), self._seconds.labels(label))
            if request.method in METHODS:
                self._counters[kind] = counters
        counters[0].inc()
        counters[1].observe(seconds)

    async def _answer(self, request: Request, receive: Any) -> Answer:
        route: Route | None = None
        now = self._services.clock.epoch()
        try:
            request.take_query()
            route = self._route(request)
            if request.http_method == "OPTIONS":
                return self._options(request, route)
            body = await _read_body(request, receive, FILE_MAX_BYTES if route.takes_files else BODY_MAX_BYTES)
            request.take_body(body, takes_files=route.takes_files, takes_lists=route.takes_lists)
            request.tunnel()
            handler = self._handler(request, route)
            await self._admit(request, route)
            reply = await handler(request)
            self._complete(request, reply)
            return render(request, reply, node=self._node, now=now, methods=route.methods)
        except ApiError as error:
            problem = error
        except ExpiredToken as error:
            audit.refused(request, error)
            problem = plain(401, "invalid credentials")
        except OffhookError as error:
            audit.refused(request, error)
            problem = from_app(error)
        except ClientGone:
            raise
        except Exception:
            log.exception("request failed", request_id=request.request_id, route=request.route)
            problem = fault("unspecified_fault")
        methods = route.methods if route is not None else METHOD_ORDER
        return render_error(request, problem, node=self._node, now=now, methods=methods)

    def _route(self, request: Request) -> Route:
        tokens = request.segments
        if not tokens or tokens[0] not in VERSIONS:
            raise fault("not_found")
        found = self._routes.find(tokens[1:])
        if found is None and len(tokens) > 1 and tokens[1] == "account":
            found = self._routes.find(("accounts", "", *tokens[2:]))  # "the account of my token"
        if found is None:
            raise fault("not_found")
        route, request.arguments = found
        request.route = route.path
        return route

    def _options(self, request: Request, route: Route) -> Answer:
        if not request.is_cors:
            raise self._wrong_method(route)
        return options_answer(request, route.methods)

    def _handler(self, request: Request, route: Route) -> Any:
        handler = route.handlers.get(request.method)
        if handler is not None:
            return handler
        if request.method not in METHODS and request.method != "HEAD":
            raise fault("not_implemented")
        raise self._wrong_method(route)

    def _wrong_method(self, route: Route) -> ApiError:
        error = fault("invalid_method")
        error.headers = ((b"allow", ", ".join(("OPTIONS", *route.methods)).encode()),)
        return error

    # --- who is it --------------------------------------------------------------------------------

    async def _admit(self, request: Request, route: Route) -> None:
        """Find the caller and the account of the path, and take the tokens this costs."""
        if route.access is Access.CALL:
            request.call_pass = self._call_pass(request)
        if route.access is not Access.OPEN and request.call_pass is None:
            request.principal = await self._principal(request)
        principal = request.principal
        self._charge(request, route, principal)
        is_anonymous = principal is None and request.call_pass is None
        if is_anonymous and route.access in (Access.TOKEN, Access.CALL):
            raise fault("invalid_credentials")
        account_id = request.arguments.get("account_id")
        if account_id is not None:
            await self._enter_account(request, account_id, route.access)
        if request.call_pass is not None and request.target.data.get("enabled", True) is False:
            raise fault("invalid_credentials")

    def _charge(self, request: Request, route: Route, principal: Principal | None) -> None:
        caller_id = principal.account_id if principal is not None else ""
        cost = self._costs.cost(
            route.words,
            request.method,
            request.arguments.get("account_id") or caller_id,
            default=LOGIN_COST if route.is_login else 1,
        )
        self._take(request, caller_id, cost, is_login=route.is_login)

    def _take(self, request: Request, account_id: str, cost: int, *, is_login: bool) -> None:
        now = self._services.clock.monotonic()
        request.tokens_taken = cost
        request.tokens_left = self._buckets.take(
            request.address, account_id, cost=cost, now=now, takes_rest=is_login
        )

    def _call_pass(self, request: Request) -> CallPass | None:
        """Return what the visitor's call token opens, if one was sent. Raises ExpiredToken, ApiError 403."""
        token = request.text_value("call_token") or _token_of(request)
        found = self._services.call_tokens.read(token) if token else None
        if found is None:
            return None
        if self._services.call_tokens.is_expired(found):
            raise ExpiredToken
        if not found.opens(request.arguments["account_id"], request.arguments["call_id"]):
            raise fault("forbidden")
        return found

    async def _principal(self, request: Request) -> Principal | None:
        """Return the caller; the first place that holds a token decides (kazoo-behaviour 1.7)."""
        token = _token_of(request)
        if not token:
            authorization = _authorization_of(request)
            is_basic = authorization[:6].lower() == "basic "
            return await self._basic(request, authorization) if is_basic else None
        account_header = request.headers.get("x-auth-account-id", "")
        return await self._services.auth.check(token, account_header=account_header)

    async def _basic(self, request: Request, authorization: str) -> Principal | None:
        auth, credentials = self._services.auth, authorization.strip()
        if not auth.remembers(credentials):
            self._take(request, "", LOGIN_COST, is_login=True)
        try:
            return await auth.basic(credentials, address=request.address)
        except ExpiredToken:
            raise
        except WrongCredentials:
            return None

    async def _enter_account(self, request: Request, account_id: str, access: Access) -> None:
        """Load the account of the path, if the caller may address it.

        Where access is optional, a token of another account gets as far as no token at all.
        """
        principal = request.principal
        if not account_id:
            if principal is None:
                raise fault("invalid_credentials")
            account_id = principal.account_id
        if not ACCOUNT_ID.match(account_id):
            raise ApiError(404, "bad identifier", {"message": f"invalid account_id '{account_id[:100]}'"})
        account = await self._services.store.documents.get(account_id, account_id, type="account")
        if account is None:
            if principal is None:
                raise fault("invalid_credentials")
            raise fault("bad_identifier", cause=account_id)
        if principal is not None and not self._services.auth.reaches(principal, account):
            if access is not Access.OPTIONAL:
                raise fault("forbidden")
            request.is_foreign = True
        request.account = account
        request.account_id = account_id

    def _complete(self, request: Request, reply: Reply) -> None:
        """Give creations their status and Location (kazoo-behaviour 1.5)."""
        if reply.location == "+":
            assert isinstance(reply.data, dict)
            reply.location = f"{request.path.rstrip('/')}/{reply.data['id']}"
        if reply.status == 202 and ACCEPTED_IS_200 in self._services.settings.quirks:
            reply.status = 200
            return
        if reply.status == 200 and request.method == "PUT":
            is_tunnelled = request.http_method != "PUT"
            reply.status = 201 if reply.location or not is_tunnelled else 200


def _token_of(request: Request) -> str:
    """Return the token a request carries, from the first place that holds one; empty if none does."""
    token = request.headers.get("x-auth-token") or request.text_value("auth_token")
    if token:
        return token
    scheme, _, rest = _authorization_of(request).partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def _authorization_of(request: Request) -> str:
    return (request.headers.get("authorization") or request.text_value("authorization")).strip()


def _sized(answer: Answer) -> list[tuple[bytes, bytes]]:
    if answer.status not in WITHOUT_BODY and answer.stream is None:
        answer.headers.append((b"content-length", str(len(answer.body)).encode()))
    return answer.headers


async def _read_body(request: Request, receive: Any, most_bytes: int) -> bytes:
    """Return the body. Raises ApiError 413 as soon as it is too large, ClientGone."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced[:20]) > most_bytes:
        raise _too_large(most_bytes)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            raise _too_large(most_bytes)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(most_bytes: int) -> ApiError:
    text = f"Files must not be more than {most_bytes} bytes"
    error = field_fault("file", "maxSize", text, target=most_bytes)
    error.status = 413
    return error
