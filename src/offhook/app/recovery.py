"""Password recovery: a mail with a link that logs in once (kazoo-behaviour 3.1, ODDITY-49).

Nobody learns from the answer whether a user exists: it is the same for all, and given before anything is
looked up. The link leads only to hosts the operator named, or a stranger could have the secret sent to his.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

import structlog

from offhook.directory import Document, Json
from offhook.directory.keys import RESET_DIGEST, USERNAME
from offhook.kernel import Clock, Random

from .auth import Auth, Login
from .documents import DocumentService, Place
from .errors import AppError, RevisionConflict, StorageLost, TooManyRequests, WrongCredentials
from .ports import Store

RESET_ID_DIGITS: Final = 64
RESET_LIFE_S: Final = 3_600.0
"""People read their mail within minutes; a link lies in mailboxes for ever."""

PAUSE_S: Final = 300.0
"""Between two mails to one user: a stranger must not fill a mailbox."""

WAITING_MAX: Final = 100
"""Requests that are worked off at one time; mail servers take seconds."""

_log = structlog.get_logger("offhook.recovery")


class MailFailed(AppError):
    """The mail server did not take a message."""

    code = "mail-failed"


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand one message to the mail server. Raises MailFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySettings:
    """What an operator sets."""

    hosts: frozenset[str] = frozenset()
    """Hosts a link may lead to, in lower case."""


class PasswordRecovery:
    """Sends links and takes them. `stop()` ends what is under way."""

    def __init__(
        self,
        store: Store,
        documents: DocumentService,
        auth: Auth,
        mailer: Mailer | None,
        settings: RecoverySettings = RecoverySettings(),
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        self._store = store
        self._documents = documents
        self._auth = auth
        self._mailer = mailer
        self._settings = settings
        self._clock = clock
        self._random = random
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_available(self) -> bool:
        """Tell whether mail can be sent and links lead anywhere."""
        return self._mailer is not None and bool(self._settings.hosts)

    def may_lead_to(self, url: str) -> bool:
        """Tell whether a link may go to this page."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            return False
        return parts.scheme in ("https", "http") and host in self._settings.hosts and not parts.username

    def request(self, data: Json, ui_url: str) -> None:
        """Begin to send a link to the user that data names, if there is one. Raises TooManyRequests."""
        if len(self._tasks) >= WAITING_MAX:
            raise TooManyRequests(1.0)
        task = asyncio.get_running_loop().create_task(self._send_link(data, ui_url), name="recovery mail")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def take(self, reset_id: str) -> Login:
        """Log in with a link, once; the user must choose a new password then. Raises WrongCredentials."""
        found = await self._store.documents.find(RESET_DIGEST, _digest(reset_id))
        user = found[0] if found else None
        if user is None or user.private["reset"]["expires_at"] <= self._clock.epoch():
            raise WrongCredentials
        private = {name: value for name, value in user.private.items() if name != "reset"}
        used = await self._documents.keep_private(user, private)
        place = Place(type="user", account_id=user.account_id)
        marked = await self._documents.patch(place, used.id, {"require_password_update": True})
        return await self._auth.recovered(marked)

    async def stop(self) -> None:
        """Give up the mails under way. Idempotent."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send_link(self, data: Json, ui_url: str) -> None:
        assert self._mailer is not None
        try:
            user = await self._user(data)
            if user is None or self._was_told(user):
                return
            reset_id = await self._keep_reset(user)
            await self._mailer.send(
                str(user.data["email"]), "Choose a new password", _text(_link(ui_url, reset_id))
            )
        except (MailFailed, RevisionConflict, StorageLost) as error:
            _log.error("no recovery mail was sent", reason=str(error))
        else:
            _log.info("recovery mail sent", account_id=user.account_id, user_id=user.id)

    async def _user(self, data: Json) -> Document | None:
        account = await self._auth.selected_account(data)
        if account is None:
            return None
        username = str(data.get("username", "")).lower()
        found = await self._store.documents.find(USERNAME, username, scope=account.id)
        usable = (user for user in found if user.data.get("enabled", True) is not False)
        return next((user for user in usable if "email" in user.data), None)

    def _was_told(self, user: Document) -> bool:
        """Tell whether this user got a mail a moment ago."""
        reset: Any = user.private.get("reset")
        return reset is not None and self._clock.epoch() < reset["expires_at"] - RESET_LIFE_S + PAUSE_S

    async def _keep_reset(self, user: Document) -> str:
        """Store a digest of a fresh id, and return the id: a thief of the database cannot use it."""
        reset_id = self._random.hex(RESET_ID_DIGITS)
        reset = {"digest": _digest(reset_id), "expires_at": self._clock.epoch() + RESET_LIFE_S}
        await self._documents.keep_private(user, {**user.private, "reset": reset})
        return reset_id


def _digest(reset_id: str) -> str:
    return hashlib.sha256(reset_id.encode("utf-8", "replace")).hexdigest()


def _link(ui_url: str, reset_id: str) -> str:
    parts = urlsplit(ui_url)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=query + urlencode({"recovery": reset_id})))


def _text(link: str) -> str:
    return (
        "Somebody, probably you, asked for a new password.\n\n"
        f"Open this page within an hour to choose one:\n\n{link}\n\n"
        "If it was not you, do nothing: your password stays as it is.\n"
    )
