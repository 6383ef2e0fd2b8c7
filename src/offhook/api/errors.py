"""What goes wrong, as KAZOO says it: two families of error bodies (kazoo-behaviour 2.1).

Family A: `message` is a snake_case word, `data` has a human message and often a cause.
Family B: `message` is plain text, `data` is whatever is at fault.
"""

import math
from typing import Any, Final

from offhook.app.accounts import AccountHasDescendants
from offhook.app.call_stream import TooManyReaders
from offhook.app.errors import (
    BadPageKey,
    CallLimitReached,
    CallRefused,
    Draining,
    Faults,
    InvalidDocument,
    KeyReused,
    NoCredit,
    NotAllowed,
    RevisionConflict,
    StillRunning,
    StorageLost,
    TooManyRequests,
    UnknownDocument,
    WrongCredentials,
)
from offhook.app.planning import (
    BadOption,
    CallRestricted,
    ContactMissing,
    ContactNotAllowed,
    NumberInvalid,
    PlanRefused,
    SipUriNotAllowed,
    TargetCallUnknown,
)
from offhook.kernel import OffhookError

WORDS: Final = {
    "invalid_credentials": (401, "invalid credentials"),
    "no_credit": (402, "not enough credit to perform action"),
    "forbidden": (403, "forbidden"),
    "not_found": (404, "not found"),
    "bad_identifier": (404, "bad identifier"),
    "invalid_method": (405, "method not allowed"),
    "datastore_conflict": (409, "conflicting documents"),
    "request_in_progress": (409, "the request with this Idempotency-Key has no answer yet"),
    "idempotency_key_reused": (422, "this Idempotency-Key came with another request before"),
    "too_many_requests": (429, "too many requests"),
    "unspecified_fault": (500, "unspecified fault"),
    "account_has_descendants": (500, "account has descendants"),
    "not_implemented": (501, "not implemented"),
    "datastore_fault": (503, "datastore fatal error"),
    "overloaded": (503, "too many calls"),
    "draining": (503, "shutting down"),
}
"""Family A: word → status and human message."""

READERS_RETRY_S: Final = 5.0
"""Readers of calls come and go within seconds."""


class ApiError(Exception):
    """An answer that is not a success. `data` None means an empty body (412)."""

    def __init__(
        self, status: int, message: str, data: Any, *, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.data = data
        self.headers = headers


def fault(word: str, *, cause: Any = None, text: str = "", retry_after_s: float | None = None) -> ApiError:
    """Return a family A error."""
    status, human = WORDS[word]
    data: dict[str, Any] = {"message": text or human}
    if cause is not None:
        data["cause"] = cause
    return ApiError(status, word, data, headers=_retry_after(retry_after_s))


def plain(status: int, message: str, data: Any = None) -> ApiError:
    """Return a family B error."""
    return ApiError(status, message, {} if data is None else data)


def invalid(faults: Faults) -> ApiError:
    """Return KAZOO's validation error."""
    return ApiError(400, "validation error", faults)


def field_fault(path: str, code: str, message: str, **details: Any) -> ApiError:
    """Return a validation error of one field."""
    return invalid({path: {code: {"message": message, **details}}})


def bad_json(text: str) -> ApiError:
    """Return the answer to a body that is no JSON."""
    return field_fault("json", "invalid", text, target="body")


def precondition_failed() -> ApiError:
    """Return 412, whose body is empty in KAZOO."""
    return ApiError(412, "", None)


def _retry_after(retry_after_s: float | None) -> tuple[tuple[bytes, bytes], ...]:
    if retry_after_s is None:
        return ()
    return ((b"retry-after", str(max(1, math.ceil(retry_after_s))).encode()),)


def from_app(error: OffhookError) -> ApiError:
    """Return the answer to an error of a use case. The one place where they meet HTTP."""
    match error:
        case InvalidDocument():
            return invalid(error.faults)
        case UnknownDocument():
            return fault("bad_identifier", cause=error.document_id)
        case WrongCredentials():
            return fault("invalid_credentials")
        case NotAllowed():
            return fault("forbidden")
        case TooManyReaders():
            return fault("too_many_requests", text=str(error), retry_after_s=READERS_RETRY_S)
        case CallLimitReached():
            return fault("too_many_requests", text=str(error), retry_after_s=error.retry_after_s)
        case NoCredit():
            return fault("no_credit", cause=str(error))
        case TooManyRequests():
            return fault("too_many_requests", retry_after_s=error.retry_after_s)
        case RevisionConflict():
            return fault("datastore_conflict")
        case KeyReused():
            return fault("idempotency_key_reused")
        case StillRunning():
            return fault("request_in_progress", retry_after_s=error.retry_after_s)
        case StorageLost():
            return fault("datastore_fault", retry_after_s=1.0)
        case BadPageKey():
            return field_fault("start_key", "invalid", "start_key does not name a page")
        case PlanRefused():
            return _from_refusal(error)
        case AccountHasDescendants():
            return fault("account_has_descendants")
        case CallRefused():
            word = "draining" if isinstance(error, Draining) else "overloaded"
            return fault(word, retry_after_s=error.retry_after_s)
    return fault("unspecified_fault")


def _from_refusal(error: PlanRefused) -> ApiError:
    """Return the answer to a connect or quickcall that may not be carried out."""
    match error:
        case ContactMissing():
            return field_fault(error.field, "required", str(error))
        case ContactNotAllowed():
            return plain(400, str(error), error.contact)
        case SipUriNotAllowed() | CallRestricted():
            return fault("forbidden", text=str(error))
        case BadOption():
            return field_fault(error.field, error.keyword, str(error))
        case NumberInvalid():
            return field_fault(error.field, "invalid", str(error), value=error.number[:100])
        case TargetCallUnknown():
            return field_fault(error.field, "not_found", str(error), cause=error.call_id[:100])
    return field_fault(error.field or "data", "invalid", str(error))
