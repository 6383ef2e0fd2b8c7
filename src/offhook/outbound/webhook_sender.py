"""Sends prepared requests over HTTP: the WebhookSender port."""

import errno
import ipaddress
import ssl
from collections.abc import Sequence
from typing import Final

import aiohttp
from yarl import URL

from offhook.delivery import PreparedRequest, Reception
from offhook.delivery.errors import (
    BAD_ANSWER,
    BAD_URI,
    CLOSED,
    REFUSED,
    TIMEOUT,
    TLS,
    UNREACHABLE,
    Undeliverable,
)
from offhook.delivery.targets import Network

from .guarded_resolver import GuardedResolver

ANSWER_S: Final = 10.0
"""KAZOO's bound for a whole request."""

CONNECTIONS_MAX: Final = 1_024
"""Sockets to receivers; the dispatcher keeps fewer requests under way."""

CONNECTIONS_PER_HOST_MAX: Final = 32
"""Several hooks may go to one host; none gets all the sockets."""

BODY_MAX_BYTES: Final = 4_096
"""As much of an answer as an attempt shows; of a longer one the connection is closed."""

HEADERS_MAX: Final = 32
HEADER_MAX_CHARACTERS: Final = 512
"""What an attempt keeps of an answer's header."""


class HttpWebhookSender:
    """One pool of connections to all receivers. No redirects, no cookies, no proxies, no decompression."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._resolver = GuardedResolver(allowed)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: PreparedRequest) -> Reception:
        """Send it and return the answer, its body cut. Raises Undeliverable."""
        uri = self._checked(request.uri)
        try:
            async with self._pool().request(
                request.method,
                uri,
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            ) as response:
                return await _reception(response)
        except Undeliverable:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _undeliverable(error) from None

    async def close(self) -> None:
        """Close all connections. Repeating it does nothing."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await self._resolver.close()

    def _checked(self, text: str) -> URL:
        """Return the URI; an address in it is checked here, a name when it is resolved."""
        try:
            uri = URL(text, encoded=True)
            host = uri.host
        except ValueError:
            raise Undeliverable(BAD_URI, text[:200]) from None
        if uri.scheme not in ("http", "https") or not host:
            raise Undeliverable(BAD_URI, text[:200])
        try:
            ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return uri
        self._resolver.check(host)
        return uri

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                use_dns_cache=False,
                limit=CONNECTIONS_MAX,
                limit_per_host=CONNECTIONS_PER_HOST_MAX,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=ANSWER_S),
                auto_decompress=False,
                trust_env=False,
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session


async def _reception(response: aiohttp.ClientResponse) -> Reception:
    body = await response.content.read(BODY_MAX_BYTES)
    while len(body) < BODY_MAX_BYTES and (more := await response.content.read(BODY_MAX_BYTES - len(body))):
        body += more
    if not response.content.at_eof():
        response.close()  # whatever else it sends is nobody's business
    headers = list(response.headers.items())[:HEADERS_MAX]
    return Reception(
        status=response.status,
        headers={name.lower(): value[:HEADER_MAX_CHARACTERS] for name, value in headers},
        body=body.decode("utf-8", "replace"),
    )


_BY_ERRNO: Final = {
    errno.ECONNREFUSED: REFUSED,
    errno.ETIMEDOUT: TIMEOUT,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
}


def _undeliverable(error: Exception) -> Undeliverable:
    """Return one of our few words for what went wrong."""
    cause = error.__cause__
    if isinstance(cause, Undeliverable):
        return cause
    if isinstance(error, TimeoutError):
        return Undeliverable(TIMEOUT)
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Undeliverable(TLS, str(error)[:200])
    if isinstance(error, aiohttp.InvalidURL):
        return Undeliverable(BAD_URI, str(error)[:200])
    if isinstance(error, OSError) and error.errno in _BY_ERRNO:
        return Undeliverable(_BY_ERRNO[error.errno])
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError | ValueError):
        return Undeliverable(BAD_ANSWER, type(error).__name__)
    return Undeliverable(CLOSED, type(error).__name__)
