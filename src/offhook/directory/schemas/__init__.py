"""The JSON Schemas of everything a client may send, by name."""

from typing import Final

from .accounts import ACCOUNT
from .callflows import CALLFLOW, MODULES
from .clicktocalls import CLICKTOCALL, CONNECT, QUICKCALL
from .devices import DEVICE, NOTIFY
from .fields import Schema
from .limits import LIMITS
from .logins import API_AUTH, RECOVERY, USER_AUTH
from .media import MEDIA
from .phone_numbers import PHONE_NUMBER
from .resources import RESOURCE
from .users import USER
from .webhooks import WEBHOOK

DOCUMENTS: Final[dict[str, Schema]] = {
    "account": ACCOUNT,
    "user": USER,
    "device": DEVICE,
    "callflow": CALLFLOW,
    "resource": RESOURCE,
    "clicktocall": CLICKTOCALL,
    "webhook": WEBHOOK,
    "limits": LIMITS,
    "media": MEDIA,
    "phone_number": PHONE_NUMBER,
}
"""By document type."""

REQUESTS: Final[dict[str, Schema]] = {
    "connect": CONNECT,
    "quickcall": QUICKCALL,
    "user_auth": USER_AUTH,
    "api_auth": API_AUTH,
    "user_auth_recovery": RECOVERY,
    "devices_notify": NOTIFY,
}
"""Options and credentials: checked, never stored."""

SCHEMAS: Final[dict[str, Schema]] = (
    DOCUMENTS | REQUESTS | {f"callflows.{module}": schema for module, schema in MODULES.items()}
)

__all__ = ["DOCUMENTS", "REQUESTS", "SCHEMAS", "Schema"]
