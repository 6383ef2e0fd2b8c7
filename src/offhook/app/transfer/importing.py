"""Lines into the store. Repeating it changes nothing, so that one that was cut off is simply run again.

The input is read twice: accounts first, then the rest, because devices are known by their account's realm.
Only a batch is ever in memory.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from offhook.app.accounts import API_KEY_DIGITS, TREE_DEPTH_MAX
from offhook.app.document_writes import keys_of
from offhook.app.passwords import Passwords
from offhook.delivery import new_signing_secret, webhook_private
from offhook.directory import Document, Faults, Json, complete_account, complete_device, validate
from offhook.directory.model import GLOBAL_ACCOUNT
from offhook.kernel import Clock, Random

from .kazoo_form import NotTaken, is_account, left_behind, read
from .model import Attempt, Cdr, Installation, TakenDocument, TargetStore
from .report import Report

BATCH: Final = 500
"""Records of one transaction: a few ms of work per flush of the disk."""

LINE_MAX_BYTES: Final = 16_000_000
"""Twice the largest body the API takes; a line beyond it is no document."""

REASON_FIELDS_MAX: Final = 5
"""Wrong fields that a reason names."""


class Line(NamedTuple):
    """A line of the input."""

    number: int
    text: bytes


class Importer:
    """Carries records over into an empty or a used database."""

    def __init__(
        self, target: TargetStore, *, clock: Clock, random: Random, realm_suffix: str, overwrite: bool = False
    ) -> None:
        self._target = target
        self._clock = clock
        self._random = random
        self._realm_suffix = realm_suffix
        self._overwrite = overwrite
        self._realms: dict[str, str] = {}
        self._same_installation = False
        self._passwords: Passwords | None = None
        self._documents: list[tuple[int, TakenDocument]] = []
        self._attempts: list[tuple[int, Attempt]] = []
        self._cdrs: list[tuple[int, Cdr]] = []
        self.report = Report()

    async def run(
        self, lines: Callable[[], Iterator[Line]], *, progress: Callable[[bytes], None] = lambda text: None
    ) -> Report:
        """Take over all that can be. lines opens the input anew each time; progress sees each line twice."""
        for accounts in (True, False):
            for line in lines():
                progress(line.text)
                await self._take(line, accounts=accounts)
            self._flush()
        return self.report

    async def _take(self, line: Line, *, accounts: bool) -> None:
        text = line.text.strip()
        if not text:
            return
        if accounts and b'"account"' not in text and b"offhook_installation" not in text:
            return  # most lines of a large file: not worth parsing twice
        name = ""
        try:
            decoded = _decoded(text)
            name = _name_of(decoded)
            if accounts != (is_account(decoded) or decoded.get("pvt_type") == "offhook_installation"):
                return
            await self._take_record(line.number, decoded)
        except NotTaken as error:
            if accounts and not name:
                return  # told in the second reading
            self.report.refuse(line.number, name, error)

    async def _take_record(self, number: int, decoded: Json) -> None:
        record = read(decoded)
        self.report.leave_behind(left_behind(decoded))
        match record:
            case Installation():
                self._install(number, record)
            case Document():
                await self._take_document(number, record, decoded)
            case Attempt():
                self._demand_account(record.account_id)
                self._attempts.append((number, record))
            case Cdr():
                self._demand_account(record.account_id)
                self._cdrs.append((number, record))
        if max(len(self._documents), len(self._attempts), len(self._cdrs)) >= BATCH:
            self._flush()

    # --- the installation ---------------------------------------------------------------------------

    def _install(self, number: int, record: Installation) -> None:
        """Make a copy of an installation of a fresh database; a used one keeps its own secret."""
        self._target.set_installation(secret=record.secret, master_account_id=record.master_account_id)
        here = self._target.installation()
        self._same_installation = here is not None and here.secret == record.secret
        if self._same_installation:
            self.report.take("installation")
        else:
            self.report.refuse(
                number,
                "installation",
                NotTaken("this database has a secret of its own: users need new passwords"),
            )

    def _hasher(self) -> Passwords:
        """Return what hashes passwords, with the secret the server will have."""
        if self._passwords is None:
            self._target.set_installation(secret=self._random.hex(64))
            here = self._target.installation()
            assert here is not None
            self._passwords = Passwords(here.secret)
        return self._passwords

    # --- documents ----------------------------------------------------------------------------------

    async def _take_document(self, number: int, document: Document, line: Json) -> None:
        if document.type != "account" and document.account_id != GLOBAL_ACCOUNT:
            self._demand_account(document.account_id)
        if not self._is_wanted(document):
            return
        data, faults = validate(document.type, document.data)
        if faults:
            raise NotTaken(_told(faults))
        document.data = self._completed(document, data)
        document.private = await self._private(number, document)
        if not document.created_at:
            document.created_at = document.modified_at = self._clock.epoch()
        if document.type == "account":
            self._realms[document.id] = str(document.data["realm"])
            if line.get("pvt_superduper_admin") is True:
                self._target.set_installation(master_account_id=document.id)
        keys = keys_of(document, realm=self._realms.get(document.account_id, ""))
        self._documents.append((number, TakenDocument(document=document, keys=keys)))

    def _is_wanted(self, document: Document) -> bool:
        """Tell whether a document is to be stored: not if it is there, or changed here since."""
        known = self._target.known(document.account_id, document.id)
        if known is None or self._overwrite:
            return True
        if document.revision:
            is_same = known.revision == document.revision
        else:
            is_same = document.modified_at in (0.0, known.modified_at)
        if is_same:
            self.report.skip(document.type)
            return False
        if known.modified_at > document.modified_at:
            self.report.newer_here(document.type)
            return False
        return True

    def _demand_account(self, account_id: str) -> None:
        if account_id in self._realms:
            return
        account = self._target.account(account_id)
        if account is None:
            raise NotTaken(f"its account {account_id} is unknown")
        self._realms[account_id] = str(account.data.get("realm", ""))

    def _completed(self, document: Document, data: Json) -> Json:
        if document.type == "account":
            return complete_account(data, random=self._random, realm_suffix=self._realm_suffix)
        if document.type == "device":
            realm = self._realms.get(document.account_id, "")
            return complete_device(data, random=self._random, realm=realm)
        return data

    async def _private(self, number: int, document: Document) -> Json:
        if document.type == "account":
            return self._account_private(document.private)
        if document.type == "user":
            return await self._user_private(number, document)
        if document.type == "webhook":
            private = webhook_private(
                document.private, document.data, make_secret=partial(new_signing_secret, self._random)
            )
            kept = document.private.get("disabled_message")
            return private if kept is None else private | {"disabled_message": kept}
        return document.private

    def _account_private(self, private: Json) -> Json:
        tree, api_key = private.get("tree", []), private.get("api_key")
        if not isinstance(tree, list) or not all(isinstance(id, str) for id in tree):
            raise NotTaken("its pvt_tree is no list of ids")
        if len(tree) > TREE_DEPTH_MAX:
            raise NotTaken(f"it stands more than {TREE_DEPTH_MAX} levels deep")
        if not isinstance(api_key, str) or len(api_key) != API_KEY_DIGITS:
            api_key = self._random.hex(API_KEY_DIGITS)
        return {**private, "tree": tree, "api_key": api_key}

    async def _user_private(self, number: int, user: Document) -> Json:
        """Return what logins of the user are compared with: KAZOO's digests go through argon2id."""
        private = dict(user.private)
        if "credentials" in private:
            if not self._same_installation:
                del private["credentials"]
                reason = NotTaken("its password: it belongs to another installation")
                self.report.refuse(number, user.id, reason, part=True)
            return private
        credentials: dict[str, str] = {}
        for method, field in (("md5", "md5_auth"), ("sha", "sha1_auth")):
            digest = private.pop(field, None)
            if isinstance(digest, str) and digest and user.data.get("username"):
                credentials[method] = await self._hasher().stored_form(user.account_id, method, digest)
        return (
            {**private, "credentials": credentials, "identity": self._random.hex(32)} if credentials else {}
        )

    # --- writing ------------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Store what has been collected."""
        documents, self._documents = self._documents, []
        for (number, taken), refusal in zip(
            documents, self._target.take_documents([taken for _, taken in documents]), strict=True
        ):
            if refusal is None:
                self.report.take(taken.document.type)
            else:
                reason = f"{refusal.kind} {refusal.value!r} belongs to {refusal.document_id}"
                self.report.refuse(number, taken.document.id, NotTaken(reason))
        attempts, self._attempts = self._attempts, []
        self._count("history", self._target.take_attempts([attempt for _, attempt in attempts]))
        cdrs, self._cdrs = self._cdrs, []
        self._count("cdr", self._target.take_cdrs([cdr for _, cdr in cdrs]))

    def _count(self, kind: str, verdicts: Iterable[str]) -> None:
        for verdict in verdicts:
            if verdict == "taken":
                self.report.take(kind)
            else:
                self.report.skip(kind)


def _decoded(text: bytes) -> Json:
    if len(text) > LINE_MAX_BYTES:
        raise NotTaken(f"the line has more than {LINE_MAX_BYTES} bytes")
    try:
        decoded: Any = msgspec.json.decode(text)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise NotTaken(f"no JSON: {str(error)[:200]}") from None
    if not isinstance(decoded, dict):
        raise NotTaken("no JSON object")
    return decoded


def _name_of(line: Json) -> str:
    found = line.get("_id", line.get("id"))
    return found[:100] if isinstance(found, str) else "?"


def _told(faults: Faults) -> str:
    """Return validation faults in one line."""
    texts = [
        f"{path}: {details.get('message', code)}"
        for path, codes in faults.items()
        for code, details in codes.items()
    ]
    more = f" and {len(texts) - REASON_FIELDS_MAX} more" if len(texts) > REASON_FIELDS_MAX else ""
    return "; ".join(texts[:REASON_FIELDS_MAX]) + more
