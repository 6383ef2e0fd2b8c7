"""Limits of an account (kazoo-behaviour 7.7)."""

from typing import Final

from .fields import array, boolean, document, integer, text

LIMIT_MAX: Final = 1_000_000

_TRUNKS: Final = {
    "twoway_trunks": "Trunks for calls in both directions",
    "inbound_trunks": "Trunks for calls that come in",
    "outbound_trunks": "Trunks for calls that go out",
    "burst_trunks": "Trunks for peaks",
}

LIMITS: Final = document(
    "How many calls an account may have at once; what is not set is not limited",
    {
        **{name: integer(text, least=0, most=LIMIT_MAX) for name, text in _TRUNKS.items()},
        "calls": integer("Calls at once; -1: no limit", least=-1, most=LIMIT_MAX),
        "resource_consuming_calls": integer(
            "Calls at once that leave the account; -1: no limit", least=-1, most=LIMIT_MAX
        ),
        "allow_prepay": boolean("Prepaid calls may be made", default=True),
        "authz_resource_types": array(
            "Kinds of calls that are authorised", text("Kind", longest=64), most=64, default=[]
        ),
    },
)
