"""What sequences work with: requests that are remembered as rows of a table."""

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from offhook.client import Answer, ApiClient, ApiUnreachable, Json

ID: Final = re.compile(r"[0-9a-f]{32}\Z")

SEEN_MAX: Final = 160
"""Characters of what was seen."""

FULL: Final = 429

WAITS_MAX: Final = 30
"""Times a request that came too fast is sent: KAZOO gives back ten tokens a second, and nothing costs 300."""

WAIT_S: Final = 1.0
"""Between two of them: `Retry-After` is not sent by all."""

UNKNOWN_FORM: Final = (KeyError, TypeError, IndexError, AttributeError, ValueError)
"""What it raises to look into an answer of a form that nobody foresaw."""

OK: Final = frozenset({200, 201, 202})


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was tried."""

    feature: str
    expected: str
    seen: str
    ok: bool


@dataclass(slots=True)
class Kit:
    """A client, the account to work in, and the rows so far."""

    client: ApiClient
    api_key: str
    account_id: str = ""
    """The kit's own account."""
    realm: str = ""
    rows: list[Row] = field(default_factory=list)

    @property
    def base(self) -> str:
        """The path of the kit's account."""
        return f"/v2/accounts/{self.account_id}"

    def ask(self, method: str, path: str, data: Any = None, **options: Any) -> Answer:
        """Send a request, as soon as the rate limit lets it; one that is not answered counts as status 0."""
        for _ in range(WAITS_MAX):
            answer = self._send(method, path, data, **options)
            if answer.status != FULL:
                break
            time.sleep(WAIT_S)
        return answer

    def _send(self, method: str, path: str, data: Any, **options: Any) -> Answer:
        try:
            return self.client.request(method, path, data, **options)
        except ApiUnreachable as error:
            return Answer(0, {}, str(error).encode())

    def expect(
        self,
        feature: str,
        answer: Answer,
        status: int | Collection[int] = 200,
        *,
        wants: str = "",
        holds: Callable[[Answer], bool] | None = None,
    ) -> bool:
        """Add a row: the status must be one of these, and what is wanted must hold."""
        statuses = {status} if isinstance(status, int) else set(status)
        ok = answer.status in statuses
        if ok and holds is not None:
            ok = _holds(holds, answer)
        expected = " or ".join(str(one) for one in sorted(statuses)) + (f", {wants}" if wants else "")
        self.rows.append(Row(feature, expected, _seen(answer), ok))
        return ok

    def fails(self, feature: str, answer: Answer, status: int | Collection[int], *, word: str = "") -> bool:
        """Expect an error in KAZOO's form."""
        return self.expect(
            feature,
            answer,
            status,
            wants=f"an error{f' about {word}' if word else ''} in the envelope",
            holds=lambda answer: is_error(answer) and word in str(answer.envelope),
        )

    def invalid(self, feature: str, answer: Answer, **faults: str) -> bool:
        """Expect a validation error that names these fields (`__` stands for a dot) with these codes."""
        wanted = {path.replace("__", "."): code for path, code in faults.items()}

        def named(answer: Answer) -> bool:
            data = answer.data
            if answer.envelope.get("message") != "validation error" or not isinstance(data, dict):
                return False
            return all(code in data.get(path, {}) for path, code in wanted.items())

        told = ", ".join(f"{path}.{code}" for path, code in wanted.items())
        return self.expect(feature, answer, 400, wants=f"validation error {told}", holds=named)

    def create(self, noun: str, data: Json) -> str:
        """Create a document and return its id; empty if that failed, which is a row."""
        answer = self.ask("PUT", f"{self.base}/{noun}", data)
        if answer.status in OK and isinstance(answer.data, dict) and "id" in answer.data:
            return str(answer.data["id"])
        self.expect(f"{noun}: create", answer, 201)
        return ""


def is_success(answer: Answer) -> bool:
    """Tell whether the envelope is that of a success."""
    envelope = answer.envelope
    return envelope.get("status") == "success" and "data" in envelope and "request_id" in envelope


def is_error(answer: Answer) -> bool:
    """Tell whether the envelope is that of an error: `error` is the status as text."""
    envelope = answer.envelope
    return (
        envelope.get("status") == "error"
        and envelope.get("error") == str(answer.status)
        and isinstance(envelope.get("message"), str)
        and "data" in envelope
    )


def has(data: Any, wanted: Mapping[str, Any]) -> bool:
    """Tell whether an object has these keys with these values."""
    return isinstance(data, dict) and all(data.get(key) == value for key, value in wanted.items())


def _holds(holds: Callable[[Answer], bool], answer: Answer) -> bool:
    """Return what a test says; an answer of a form it cannot even look into does not hold."""
    try:
        return bool(holds(answer))
    except UNKNOWN_FORM:
        return False


def _seen(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")
    envelope = answer.envelope
    if envelope:
        shown = answer.told if envelope.get("status") == "error" else str(envelope.get("data"))
        text = shown or text
    return f"{answer.status} {' '.join(text.split())}"[:SEEN_MAX]
