"""Errors of the use cases and of the ports behind them.

AppError
├── StoreError
│   ├── StorageLost          the disk or database does not take writes now
│   ├── RevisionConflict     somebody else changed the document
│   ├── KeyTaken             a unique key belongs to another document
│   ├── AlreadyFinal         the call has its final entry
│   ├── CallIdTaken          40 random bits do meet: take another id
│   ├── KeyClaimed           an Idempotency-Key has placed its call
│   └── BadPageKey           a start_key that no page ever carried
├── UnknownDocument          no live document of this type and id in this account
├── InvalidDocument          a field is wrong; carries every fault
├── InvalidDocuments         the same of several that were to be stored together
├── KeyReused                an Idempotency-Key came with another request before
├── StillRunning             the request with this Idempotency-Key has no answer yet
├── NotAllowed               the caller may not do this
├── WrongCredentials         who are you?
├── TooManyRequests          a bucket, throttle or login limiter is empty
├── CallLimitReached         the account has as many calls as its limits allow
├── NoCredit                 the account has no trunk left
└── CallRefused
    ├── Overloaded           the node has as many calls as it may have
    └── Draining             the node is shutting down
"""

from typing import Any, ClassVar

from offhook.kernel import OffhookError

Faults = dict[str, dict[str, dict[str, Any]]]
"""Dotted path → error code → details, as KAZOO reports them (kazoo-behaviour 2.4)."""


class AppError(OffhookError):
    """A use case could not do what was asked."""

    code: ClassVar[str] = "app-error"


class StoreError(AppError):
    """The store refused."""

    code: ClassVar[str] = "store-error"


class StorageLost(StoreError):
    """Nothing can be stored now. Maps to 503; later operations work again when the disk does."""

    code: ClassVar[str] = "storage-lost"


class RevisionConflict(StoreError):
    """The document is at another revision than the writer thought. Maps to 409, or 412 with If-Match."""

    code: ClassVar[str] = "revision-conflict"


class KeyTaken(StoreError):
    """Another live document holds a unique key. Maps to a 400 that names the field."""

    code: ClassVar[str] = "key-taken"

    def __init__(self, kind: str, value: str, document_id: str) -> None:
        super().__init__(kind, value, document_id)
        self.kind = kind
        self.value = value
        self.document_id = document_id

    def __str__(self) -> str:
        return f"{self.kind} {self.value!r} belongs to {self.document_id}"


class AlreadyFinal(StoreError):
    """A call has one final entry, and this one has it."""

    code: ClassVar[str] = "already-final"


class CallIdTaken(StoreError):
    """A call with this id was accepted before: take another id."""

    code: ClassVar[str] = "call-id-taken"


class KeyClaimed(StoreError):
    """The Idempotency-Key has placed its call: look up which."""

    code: ClassVar[str] = "key-claimed"


class BadPageKey(StoreError):
    """A start_key that no page ever carried. Maps to 400."""

    code: ClassVar[str] = "bad-page-key"


class UnknownDocument(AppError):
    """No live document of this type and id in this account. Maps to 404 bad_identifier."""

    code: ClassVar[str] = "unknown-document"

    def __init__(self, document_id: str) -> None:
        super().__init__(document_id)
        self.document_id = document_id


class InvalidDocument(AppError):
    """At least one field is wrong. Maps to 400 `validation error`."""

    code: ClassVar[str] = "invalid-document"

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.faults = faults


class InvalidDocuments(AppError):
    """Some of several documents are wrong; none was stored. faults go by place in the list, from 0."""

    code: ClassVar[str] = "invalid-documents"

    def __init__(self, faults: dict[int, Faults]) -> None:
        super().__init__(faults)
        self.faults = faults


class KeyReused(AppError):
    """An Idempotency-Key came with another request before. Maps to 422."""

    code: ClassVar[str] = "idempotency-key-reused"


class StillRunning(AppError):
    """The request with this Idempotency-Key has no answer yet. Maps to 409 with Retry-After."""

    code: ClassVar[str] = "request-in-progress"

    def __init__(self, retry_after_s: float = 1.0) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class NotAllowed(AppError):
    """The caller is known, and may not do this. Maps to 403."""

    code: ClassVar[str] = "not-allowed"


class WrongCredentials(AppError):
    """Unknown account, user, password or token; which of them is not said. Maps to 401."""

    code: ClassVar[str] = "wrong-credentials"


class TooManyRequests(AppError):
    """Come again later. Maps to 429."""

    code: ClassVar[str] = "too-many-requests"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class CallLimitReached(AppError):
    """The account has as many calls as its limits allow. Maps to 429: calls end."""

    code: ClassVar[str] = "call-limit-reached"
    retry_after_s: ClassVar[float] = 5.0
    """Calls end in seconds to minutes: sooner is a wasted try."""

    def __init__(self, limit: str, value: int) -> None:
        super().__init__(limit, value)
        self.limit = limit
        self.value = value

    def __str__(self) -> str:
        return f"the account may have {self.value} {self.limit.replace('_', ' ')} at once"


class NoCredit(AppError):
    """No trunk is left for another party outside. Maps to KAZOO's 402 `no_credit`."""

    code: ClassVar[str] = "no-credit"

    def __init__(self, trunks: int) -> None:
        super().__init__(trunks)
        self.trunks = trunks

    def __str__(self) -> str:
        return f"the account has {self.trunks} trunks, and they are taken"


class CallRefused(AppError):
    """No call is placed now. Maps to 503 with Retry-After."""

    code: ClassVar[str] = "call-refused"

    def __init__(self, retry_after_s: float = 1.0) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Overloaded(CallRefused):
    """The node has as many calls, or starts as many per second, as it may."""

    code: ClassVar[str] = "overloaded"


class Draining(CallRefused):
    """The node finishes its calls and takes no new ones."""

    code: ClassVar[str] = "draining"
