"""Oddities of KAZOO that a client may depend on: off unless `kazoo_quirks` names them.

`docs/reference/kazoo-coverage.md` lists all fifty, and what becomes of each.
"""

from typing import Final

ACCEPTED_IS_200: Final = "accepted_is_200"
"""Connect, quickcall and channel actions answer 200, as KAZOO's servers do; its documents say 202."""

WHITELIST_IS_SEARCHED: Final = "whitelist_is_searched"
"""An entry of a button's whitelist matches anywhere in the contact: `^\\+1` lets all of +1 pass."""

PUT_TAKES_ID: Final = "put_takes_id"
"""`id` in the body of a creating PUT becomes the document's id: 32 hex digits; a taken one is 409."""

CANCEL_IS_SUCCESS: Final = "cancel_is_success"
"""History calls an attempt whose caller gave up a success."""

THROTTLE_IS_IGNORED: Final = "throttle_is_ignored"
"""`throttle` of a button does nothing."""

WEBHOOK_PATCH_IS_SHALLOW: Final = "webhook_patch_is_shallow"
"""PATCH of a webhook replaces top-level keys whole: `custom_data` is what the request says."""

QUIRKS: Final = frozenset(
    (
        ACCEPTED_IS_200,
        WHITELIST_IS_SEARCHED,
        PUT_TAKES_ID,
        CANCEL_IS_SUCCESS,
        THROTTLE_IS_IGNORED,
        WEBHOOK_PATCH_IS_SHALLOW,
    )
)
