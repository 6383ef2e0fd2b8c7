"""INVITEs outside any call: who is it, what is dialled, and the SIP answer to what must not be.

The gate has seen them first (sip_gate.py): what comes here is a carrier's, or has answered a challenge.
Nobody is believed by his address alone, but carriers at networks that their resources list (decision 0014).
"""

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

import msgspec
import structlog

from offhook.app.errors import (
    AppError,
    CallLimitReached,
    CallRefused,
    NoCredit,
    Overloaded,
    StorageLost,
    TooManyRequests,
)
from offhook.app.inbound_calls import InboundCalls
from offhook.app.planning import CallerId, InboundRequest, NumberInvalid, NumberUnknown
from offhook.app.trunks import Trunks
from offhook.directory.model import Document
from offhook.kernel import Clock
from offhook.sip.commands import HeaderLines
from offhook.sip.dialogs import contact_of
from offhook.sip.digest import Credentials, Verdict
from offhook.sip.errors import RemoteMalformed
from offhook.sip.events import RequestReceived
from offhook.sip.grammar import NameAddr, parse_addresses
from offhook.sip.message import Request
from offhook.sip.transactions import ServerTransaction
from offhook.sip.uri import SipUri
from offhook.sip.user_agent import UserAgentCore

from .logins import PROXY, SipLogins
from .sip_gate import realm_of

_log = structlog.get_logger("offhook.inbound")

PENDING_MAX: Final = 500
"""INVITEs that are being looked up, some milliseconds each; more are told to come again."""

RETRY_AFTER_S: Final = 5
"""Said with 503 when there are too many of them, or the disk does not take the call."""

STOP_BOUND_S: Final = 5.0
"""For those under way when the node stops."""

_ANONYMOUS_HOST: Final = "anonymous.invalid"


class InboundInvites:
    """Takes INVITEs of callers. `calls` is set before the sockets open; `flush` by who owns them."""

    def __init__(self, core: UserAgentCore, logins: SipLogins, trunks: Trunks, clock: Clock) -> None:
        self._core = core
        self._logins = logins
        self._trunks = trunks
        self._clock = clock
        self.calls: InboundCalls | None = None
        self.flush: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, event: RequestReceived) -> None:
        """Begin to look up who calls whom; the call is made, or the INVITE refused."""
        if len(self._tasks) >= PENDING_MAX or self.calls is None:
            self._refuse(event.transaction, 503, RETRY_AFTER_S)
            return
        task = asyncio.get_running_loop().create_task(self._answer(self.calls, event), name="INVITE")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Take no more; those under way get their answer. Idempotent."""
        self.calls = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_BOUND_S)

    async def _answer(self, calls: InboundCalls, event: RequestReceived) -> None:
        transaction = event.transaction
        try:
            await self._place(calls, transaction, event.request)
        except RemoteMalformed as fault:
            self._refuse(transaction, fault.status)
        except AppError as refusal:
            status, retry_s = refusal_of(refusal)
            _log.info("caller refused", peer=transaction.source.remote[0], status=status, reason=str(refusal))
            self._refuse(transaction, status, retry_s)
        except Exception:
            _log.exception("a caller was not taken", peer=transaction.source.remote[0])
            self._refuse(transaction, 500)
        else:
            if transaction.context is None and not transaction.is_answered:
                self._refuse(transaction, 503, RETRY_AFTER_S)  # it was over before anything rang
        self.flush()

    async def _place(self, calls: InboundCalls, transaction: ServerTransaction, request: Request) -> None:
        """Let a carrier or a phone call. Raises RemoteMalformed, and what `calls` raises."""
        trunks = self._trunks.at(transaction.source.remote[0])
        if trunks:
            await calls.by_trunk(trunks, self._read(transaction, asserted=True))
            return
        realm = realm_of(request.from_.uri)
        source, username = transaction.source, _username(request, realm)
        login = await self._logins.verify(request, source, realm, username, PROXY)
        if transaction.is_answered:
            return  # it was cancelled
        if login.identity is not None:
            await self._by_login(calls, login.identity.device, transaction)
        elif login.verdict is Verdict.WRONG:
            self._logins.answer_later(login.answer_after_s, lambda: self._refuse_later(transaction))
            transaction.context = self  # its answer waits
        else:
            challenge = self._logins.challenge(request, source, realm, PROXY)
            self._core.respond(transaction, 407, headers=challenge, now=self._clock.monotonic())

    async def _by_login(self, calls: InboundCalls, owner: Document, transaction: ServerTransaction) -> None:
        if owner.type == "resource":
            await calls.by_trunk([owner], self._read(transaction, asserted=True))
        else:
            await calls.by_phone(owner, self._read(transaction, asserted=False))

    def _read(self, transaction: ServerTransaction, *, asserted: bool) -> InboundRequest:
        """Return what is asked for. Raises RemoteMalformed."""
        request = transaction.request
        caller = caller_of(request, asserted=asserted)
        record = self._core.record_of(transaction)
        return InboundRequest(
            number=number_of(request.uri),
            caller=caller,
            is_private=is_private(request) or not caller.number,
            contact=contact_of(request) or request.from_.uri,
            received=msgspec.json.encode(record).decode(),
        )

    def _refuse_later(self, transaction: ServerTransaction) -> None:
        self._refuse(transaction, 403)
        self.flush()

    def _refuse(self, transaction: ServerTransaction, status: int, retry_s: int = 0) -> None:
        headers: HeaderLines = (("Retry-After", str(retry_s)),) if retry_s else ()
        self._core.respond(transaction, status, headers=headers, now=self._clock.monotonic())


def refusal_of(refusal: AppError) -> tuple[int, int]:
    """Return the SIP status of a call that is not made, and after how many seconds it may be tried again."""
    if isinstance(refusal, NumberUnknown):
        return 404, 0
    if isinstance(refusal, NumberInvalid):
        return 484, 0
    if isinstance(refusal, TooManyRequests | Overloaded):
        return 503, max(1, round(refusal.retry_after_s))
    if isinstance(refusal, CallLimitReached | NoCredit | CallRefused | StorageLost):
        return 503, RETRY_AFTER_S
    return 403, 0


def number_of(uri: str) -> str:
    """Return what is dialled: the user of a SIP URI, or the number of a tel URI. Raises RemoteMalformed."""
    if uri[:4].lower() == "tel:":
        return unquote(uri[4:].partition(";")[0])
    user = SipUri.parse(uri, "Request-URI").user
    return unquote(user.partition(";")[0])  # parameters of a number, as in `+15551234567;npdi`


def caller_of(request: Request, *, asserted: bool) -> CallerId:
    """Return the caller as it is written: P-Asserted-Identity of a carrier (RFC 3325), or From."""
    written = parse_addresses(request.headers.lines("P-Asserted-Identity"), "P-Asserted-Identity")
    address = written[0] if asserted and written else request.from_
    return CallerId(address.display, _number_in(address))


def _number_in(address: NameAddr) -> str:
    """Return the number of an address; empty if it hides one."""
    if address.uri[:4].lower() == "tel:":
        return number_of(address.uri)
    uri = SipUri.parse(address.uri, "From")
    return "" if uri.host.lower() == _ANONYMOUS_HOST else unquote(uri.user.partition(";")[0])


def is_private(request: Request) -> bool:
    """Tell whether the caller asks to be hidden (RFC 3323, RFC 3325 section 9.3)."""
    words = {word.strip().lower() for line in request.headers.lines("Privacy") for word in line.split(";")}
    return bool(words & {"id", "user", "header"})


def _username(request: Request, realm: str) -> str:
    """Return whose password it claims to know, in lower case; the gate has seen the realm."""
    for line in request.headers.lines("Proxy-Authorization"):
        params = Credentials.parse(line, "Proxy-Authorization").params
        if params.get("realm", "").lower() == realm:
            return params.get("username", "").lower()
    return ""
