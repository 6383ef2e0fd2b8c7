"""Why a request does not become a plan.

PlanRefused
├── ContactMissing           connect without a contact
├── ContactNotAllowed        the whitelist of the button does not name it
├── NumberInvalid            not a number, extension or SIP URI
├── SipUriNotAllowed         a SIP URI to a host that neither settings nor account allow
├── CallRestricted           call_restriction denies this class of number
├── DialOutBarred            a phone may not dial out (decision 0014)
├── NumberUnknown            a caller's number is none of the account
├── BadOption                an option of the request has a wrong value
│   └── BadNumberFilter      number_filter is no regular expression
└── TargetCallUnknown        target_call_id names no live call

All map to a 4xx: such a request is not a call and leaves no history item.
"""

from typing import ClassVar

from offhook.app.errors import AppError


class PlanRefused(AppError):
    """The request breaks a rule that a plan must keep."""

    code: ClassVar[str] = "plan-refused"
    field: str = ""
    """The request's field at fault, as clients name it."""


class ContactMissing(PlanRefused):
    """Nobody to call. Maps to 400 `contact.required`."""

    code: ClassVar[str] = "contact-missing"
    field = "contact"

    def __str__(self) -> str:
        return "The contact extension for this click to call has not been set"


class ContactNotAllowed(PlanRefused):
    """No entry of the whitelist matches. Maps to 400 `Contact doesn't match whitelist`, data = contact."""

    code: ClassVar[str] = "contact-not-allowed"
    field = "contact"

    def __init__(self, contact: str) -> None:
        super().__init__(contact)
        self.contact = contact

    def __str__(self) -> str:
        return "Contact doesn't match whitelist"


class NumberInvalid(PlanRefused):
    """Neither a number, nor an extension, nor a SIP URI. Maps to 400 `{field}.invalid`."""

    code: ClassVar[str] = "number-invalid"

    def __init__(self, number: str, *, field: str, reason: str) -> None:
        super().__init__(number, field, reason)
        self.number = number
        self.field = field
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


class SipUriNotAllowed(PlanRefused):
    """SIP URIs may only name hosts that the settings or the account allow. Maps to 403."""

    code: ClassVar[str] = "sip-uri-not-allowed"
    field = "contact"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"SIP URIs to {self.host} are not allowed"


class CallRestricted(PlanRefused):
    """call_restriction of account, user or device denies this class of number. Maps to 403."""

    code: ClassVar[str] = "call-restricted"

    def __init__(self, number: str, *, classifier: str) -> None:
        super().__init__(number, classifier)
        self.number = number
        self.classifier = classifier

    def __str__(self) -> str:
        return f"calls to numbers of the class {self.classifier} are denied"


class DialOutBarred(PlanRefused):
    """`dial_out` does not let this phone dial a number outside. Maps to SIP 403."""

    code: ClassVar[str] = "dial-out-barred"

    def __init__(self, number: str, *, classifier: str) -> None:
        super().__init__(number, classifier)
        self.number = number
        self.classifier = classifier

    def __str__(self) -> str:
        return f"phones of this account may not dial out ({self.classifier})"


class NumberUnknown(PlanRefused):
    """No callflow has the number that a caller has dialled, nor a rule for it. Maps to SIP 404."""

    code: ClassVar[str] = "number-unknown"

    def __init__(self, number: str) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"{self.number[:64]} leads nowhere"


class BadOption(PlanRefused):
    """An option has a value that means nothing. Maps to 400 `{field}.{keyword}`."""

    code: ClassVar[str] = "bad-option"

    def __init__(self, field: str, *, keyword: str, reason: str) -> None:
        super().__init__(field, keyword, reason)
        self.field = field
        self.keyword = keyword
        """KAZOO's error code: `type`, `enum`, `minimum`, `maximum`, `maxLength`, `maxItems`, `pattern`."""
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.field} {self.reason}"


class BadNumberFilter(BadOption):
    """number_filter is neither a boolean nor a regular expression. Maps to 400 `number_filter.error`."""

    code: ClassVar[str] = "bad-number-filter"

    def __init__(self, reason: str) -> None:
        super().__init__("number_filter", keyword="error", reason=reason)


class TargetCallUnknown(PlanRefused):
    """No live call of the account has this id. Maps to 400 `target_call_id.not_found`."""

    code: ClassVar[str] = "target-call-unknown"
    field = "target_call_id"

    def __init__(self, call_id: str) -> None:
        super().__init__(call_id)
        self.call_id = call_id

    def __str__(self) -> str:
        return f"there is no live call {self.call_id}"
