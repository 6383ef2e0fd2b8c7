"""What the directory stores: documents, and the keys by which they are found."""

from typing import Any, Final

import msgspec

Json = dict[str, Any]

GLOBAL_ACCOUNT: Final = ""
"""Account id of documents that belong to the installation: the resources of `/v2/resources`."""


class Document(msgspec.Struct, kw_only=True):
    """A stored document: the public JSON and what the store knows beside it."""

    id: str
    """32 lower-case hex digits; an account's id equals its account_id."""
    account_id: str
    type: str
    """`account`, `user`, `device`, `callflow`, `resource`, `clicktocall`, `webhook`."""
    data: Json
    """Public keys as clients see them, unknown ones too; without `id`."""
    private: Json = {}
    """What clients never see: password hashes, account tree (`tree`, root first), `api_key`."""
    revision: str = ""
    """`N-` and 32 hex digits, set by the store; empty before the first write."""
    created_at: float
    """Unix seconds."""
    modified_at: float
    deleted: bool = False


class DocumentKey(msgspec.Struct, frozen=True):
    """A way to find a document other than its id. Two live documents never share a unique key."""

    kind: str
    """`realm`, `sip_username`, `callflow_number`, `owner_id`, `api_key`, …: see `directory.keys`."""
    value: str
    scope: str = ""
    """Account id or realm, or empty for keys that are unique in the whole installation."""
    unique: bool = True
