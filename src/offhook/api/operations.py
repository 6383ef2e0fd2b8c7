"""What operators and load balancers ask: banner, health, readiness, metrics."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

import offhook

from .services import ApiServices


class Operations:
    """Paths outside the API."""

    def __init__(self, services: ApiServices) -> None:
        self._services = services

    async def banner(self, request: Request) -> Response:
        """Say what this is."""
        return PlainTextResponse(f"offhook {offhook.__version__}: the API is at /v2\n")

    async def health(self, request: Request) -> Response:
        """Tell that the process lives."""
        return PlainTextResponse("ok\n")

    async def readiness(self, request: Request) -> Response:
        """Tell whether to send calls here: 503 and the reason if not."""
        reason = self._services.unready()
        return PlainTextResponse(f"{reason or 'ready'}\n", status_code=503 if reason else 200)

    async def metrics(self, request: Request) -> Response:
        """Show the counters in Prometheus' text form."""
        body = generate_latest(self._services.metrics)
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})

    def routes(self) -> list[BaseRoute]:
        """Return their routes."""
        return [
            Route("/", self.banner),
            Route("/healthz", self.health),
            Route("/readyz", self.readiness),
            Route("/metrics", self.metrics),
        ]
