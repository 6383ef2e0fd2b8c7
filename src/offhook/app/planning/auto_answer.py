"""Which header field makes which phone answer by itself, by the User-Agent that it registered with.

There is no common way: RFC 5373 (Answer-Mode) is spoken by few, and what vendors read differs. A phone gets
the one form that its vendor documents; a model that is not listed gets what KAZOO sends to all, which most
phones find something in. Most phones answer only if their own settings allow it.
"""

from enum import StrEnum
from typing import Final

import msgspec

from .rings import Headers

MAX_USER_AGENT: Final = 256
"""Characters of a User-Agent that are looked at."""


class Form(StrEnum):
    """How a phone is asked. The words are those of a device's `sip.auto_answer`."""

    CALL_INFO = "call-info"
    """`Call-Info: <sip:realm>;answer-after=0`"""
    ALERT_AUTOANSWER = "alert-autoanswer"
    """`Alert-Info: <sip:realm>;info=alert-autoanswer;delay=0`"""
    AUTO_ANSWER = "auto-answer"
    """`Alert-Info: Auto Answer`"""
    RING_ANSWER = "ring-answer"
    """`Alert-Info: ring-answer`"""
    INTERCOM = "intercom"
    """`Alert-Info: Intercom`"""
    INTERCOM_URI = "intercom-uri"
    """`;intercom=true` in the Request-URI"""
    ANSWER_MODE = "answer-mode"
    """`Answer-Mode: Auto` (RFC 5373)"""
    KAZOO = "kazoo"
    """Call-Info, `Alert-Info: intercom` and `;intercom=true`, as KAZOO and FreeSWITCH send to every phone."""
    NONE = "none"
    """The phone is never asked."""


class Ask(msgspec.Struct, frozen=True):
    """What goes into the INVITE."""

    headers: Headers = ()
    in_uri: bool = False
    """The Request-URI gets `intercom=true`."""


MODELS: Final[tuple[tuple[str, Form], ...]] = (
    ("yealink", Form.ALERT_AUTOANSWER),
    ("polycom", Form.AUTO_ANSWER),
    ("polyedge", Form.AUTO_ANSWER),
    ("polyvvx", Form.AUTO_ANSWER),
    ("snom", Form.CALL_INFO),
    ("grandstream", Form.CALL_INFO),
    ("cisco", Form.CALL_INFO),
    ("linksys", Form.CALL_INFO),
    ("sipura", Form.CALL_INFO),
    ("aastra", Form.ALERT_AUTOANSWER),
    ("mitel", Form.CALL_INFO),
    ("gigaset", Form.CALL_INFO),
    ("fanvil", Form.ALERT_AUTOANSWER),
    ("audiocodes", Form.CALL_INFO),
    ("openstage", Form.ALERT_AUTOANSWER),
    ("panasonic", Form.INTERCOM),
    ("digium", Form.RING_ANSWER),
    ("sangoma p", Form.RING_ANSWER),
    ("baresip", Form.CALL_INFO),
    ("zoiper", Form.CALL_INFO),
    ("linphone", Form.CALL_INFO),
    ("microsip", Form.AUTO_ANSWER),
    ("libwebphone", Form.CALL_INFO),
    ("ringotel", Form.CALL_INFO),
    ("sip.js", Form.CALL_INFO),
    ("jssip", Form.CALL_INFO),
)
"""Part of the User-Agent in lower case → form; the first that is found. Sources, in docs/topics/inbound.md:
the vendors' administration guides, FreePBX's paging table, baresip's and libwebphone's change logs."""


_CHOICES: Final = frozenset(Form)


def form_of(user_agent: str, chosen: str) -> Form:
    """Return how a phone is asked: as its document says, or by its model."""
    if chosen in _CHOICES:
        return Form(chosen)
    name = user_agent[:MAX_USER_AGENT].lower()
    return next((form for model, form in MODELS if model in name), Form.KAZOO)


def ask(form: Form, *, realm: str, ringtone: str) -> Ask:
    """Return what makes a phone answer; the ringtone stays where Alert-Info is not needed for that."""
    tone: Headers = (("Alert-Info", ringtone),) if ringtone else ()
    call_info = ("Call-Info", f"<sip:{realm}>;answer-after=0")
    if form is Form.KAZOO:
        return Ask((call_info, ("Alert-Info", ringtone or "intercom")), in_uri=True)
    if form is Form.CALL_INFO:
        return Ask((call_info, *tone))
    if form is Form.INTERCOM_URI:
        return Ask(tone, in_uri=True)
    if form is Form.ANSWER_MODE:
        return Ask((("Answer-Mode", "Auto"), *tone))
    alert = _ALERTS.get(form, "").format(realm=realm)
    return Ask((("Alert-Info", alert),) if alert else tone)


_ALERTS: Final = {
    Form.ALERT_AUTOANSWER: "<sip:{realm}>;info=alert-autoanswer;delay=0",
    Form.AUTO_ANSWER: "Auto Answer",
    Form.RING_ANSWER: "ring-answer",
    Form.INTERCOM: "Intercom",
}
