"""Digest logins of phones: challenged without keeping anything, looked up only with a nonce of ours.

Nobody learns here which users exist. A request without credentials, or with a nonce that we did not give to
its address, gets the same challenge for every user and realm, without any look-up. A wrong password gets the
same answer as an unknown user, at a time that was set when it came. RFC 3261 22, RFC 7616, RFC 8760.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from offhook.app.sip_credentials import SipCredentials, SipIdentity
from offhook.kernel import Clock, Random
from offhook.sip.commands import HeaderLines
from offhook.sip.digest import DigestServer, Verdict, hash_credentials
from offhook.sip.flows import WEBSOCKETS, Flow
from offhook.sip.message import Request

from .password_guard import DELAY_MAX_S, PasswordGuard

_log = structlog.get_logger("offhook.logins")

NONCE_SALT_HEX: Final = 16
WAITING_MAX: Final = 1_000
"""Wrong passwords whose answer waits for its time; more are not answered. A botnet's, not a typist's."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Which pair of header fields a login uses."""

    status: int
    challenge: str
    credentials: str


REGISTRAR: Final = Asking(401, "WWW-Authenticate", "Authorization")
PROXY: Final = Asking(407, "Proxy-Authenticate", "Proxy-Authorization")


@dataclass(frozen=True, slots=True)
class Login:
    """What became of a login."""

    verdict: Verdict
    identity: SipIdentity | None = None
    """The device, if the verdict is OK."""
    answer_after_s: float = 0.0
    """If the verdict is WRONG: seconds from its arrival until 403 may be sent."""


class SipLogins:
    """Challenges and verifies; wrong passwords are counted by the guard."""

    def __init__(
        self,
        credentials: SipCredentials,
        guard: PasswordGuard,
        *,
        clock: Clock,
        random: Random,
        secret: str,
        algorithms: Sequence[str] = ("MD5", "SHA-256"),
    ) -> None:
        """algorithms are offered in this order, one challenge each."""
        self._credentials = credentials
        self._guard = guard
        self._clock = clock
        self._random = random
        self._digest = DigestServer(f"sip digest {secret}".encode())
        self._algorithms = tuple(algorithms)
        self._waiting: set[asyncio.TimerHandle] = set()

    def challenge(self, request: Request, source: Flow, realm: str, asking: Asking) -> HeaderLines:
        """Return the challenges of an answer; stale=true if credentials came that cannot be used again."""
        values = self._digest.challenges(
            realm,
            owner=source.remote[0],
            now_s=self._clock.epoch(),
            salt=self._random.hex(NONCE_SALT_HEX),
            stale=asking.credentials.lower() in request.headers.by_key(),
            algorithms=self._algorithms_for(request, source),
        )
        return tuple([(asking.challenge, value) for value in values])

    def has_answered(self, request: Request, source: Flow, realm: str, asking: Asking) -> bool:
        """Tell whether a request brings credentials with a nonce that its address got from us lately."""
        lines = request.headers.get_all(asking.credentials)
        return bool(lines) and self._digest.is_answer(
            lines, realm=realm, owner=source.remote[0], now_s=self._clock.epoch()
        )

    async def verify(
        self, request: Request, source: Flow, realm: str, username: str, asking: Asking
    ) -> Login:
        """Judge the credentials of a request for this user (lower case) of this realm."""
        address, aor = source.remote[0], f"{username}@{realm}"
        came_at = self._clock.monotonic()
        if not self._guard.may_try(address, aor, came_at):
            return Login(Verdict.WRONG, None, DELAY_MAX_S)
        identity = await self._credentials.find(realm, username)
        verdict, _ = self._digest.verify(
            request.method,
            request.headers.get_all(asking.credentials),
            lambda user, algorithm: _ha1(identity, user, algorithm, realm),
            realm=realm,
            owner=address,
            now_s=self._clock.epoch(),
        )
        if verdict is Verdict.OK:
            self._guard.succeeded(address, aor)
            return Login(verdict, identity)
        if verdict is not Verdict.WRONG:
            return Login(verdict)
        delay_s = self._guard.failed(address, aor, came_at)
        _log.warning("wrong SIP password", username=username[:64], realm=realm[:64], peer=address)
        return Login(verdict, None, delay_s - (self._clock.monotonic() - came_at))

    def note_known(self, address: str, username: str, realm: str) -> None:
        """Take a phone for known that was registered before a restart."""
        self._guard.succeeded(address, f"{username}@{realm}")

    def answer_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call action when a wrong password's answer is due; never, if too many wait already."""
        if len(self._waiting) >= WAITING_MAX:
            return
        handle: asyncio.TimerHandle

        def act() -> None:
            self._waiting.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(max(0.0, delay_s), act)
        self._waiting.add(handle)

    def stop(self) -> None:
        """Forget the answers that wait."""
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()

    def _algorithms_for(self, request: Request, source: Flow) -> tuple[str, ...]:
        """Return what to offer. Some give up when any other algorithm is offered beside MD5.

        Seen: baresip 1.0; JsSIP 3.13, which looks at the last challenge only, and other phones in browsers.
        """
        user_agent = request.headers.get("User-Agent") or ""
        is_limited = source.transport in WEBSOCKETS or _is_old_baresip(user_agent)
        return ("MD5",) if is_limited and "MD5" in self._algorithms else self._algorithms


_is_old_baresip: Final = re.compile(r"baresip v[01]\.").match


def _ha1(identity: SipIdentity | None, user: str, algorithm: str, realm: str) -> str | None:
    """Return the hash to compare with; an unknown user costs as much as a known one."""
    password = identity.password if identity else "nobody"
    ha1 = hash_credentials(algorithm, user, realm, password)
    return ha1 if identity is not None and user.lower() == identity.username.lower() else None
