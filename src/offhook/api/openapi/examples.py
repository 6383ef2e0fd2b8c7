"""Example documents and answers, in KAZOO's form (kazoo-behaviour 3, 5, 7, 10)."""

from typing import Any, Final

_ID: Final = "0f8c5d3ab9e14d0fa1b7c0d8a4a0b1c2"

DOCUMENT_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "account": {"name": "Acme", "realm": "acme.sip.example.com", "timezone": "Europe/Berlin"},
    "user": {
        "first_name": "Jane",
        "last_name": "Doe",
        "username": "jane",
        "password": "correct horse",
        "priv_level": "admin",
    },
    "device": {
        "name": "Desk phone",
        "owner_id": _ID,
        "sip": {"username": "dev1", "password": "s3cret-pass"},
    },
    "callflow": {
        "numbers": ["1001", "+14158867900"],
        "flow": {"module": "user", "data": {"id": _ID, "timeout": 20}, "children": {}},
    },
    "resource": {
        "name": "Carrier",
        "gateways": [{"server": "sip.carrier.example.com", "username": "acme", "password": "s3cret"}],
        "rules": ["^\\+(1\\d{10})$"],
    },
    "clicktocall": {
        "name": "Support button",
        "extension": "1001",
        "auth_required": False,
        "whitelist": ["\\+1\\d{10}"],
    },
    "webhook": {
        "name": "Call ends",
        "uri": "https://crm.example.com/hooks",
        "hook": "channel_destroy",
        "http_verb": "post",
        "format": "json",
    },
    "connect": {"contact": "+14158867900", "custom_application_vars": {"ticket": "42"}},
    "quickcall": {"cid-name": "Jane", "timeout": 20},
    "user_auth": {"credentials": "82a2dc91686ec828a67152d45a5c5ef7", "account_name": "acme"},
    "api_auth": {"api_key": "5" * 64},
}
"""By document type or request schema: what to send as `data`."""

VALIDATION_EXAMPLE: Final[dict[str, Any]] = {
    "data": {
        "name": {"required": {"message": "Field is required but missing", "value": "name"}},
        "dial_first": {
            "enum": {
                "message": "Value not found in enumerated list of values",
                "target": ["extension", "contact"],
                "value": "both",
            }
        },
    },
    "error": "400",
    "message": "validation error",
    "status": "error",
    "node": "mQ3vT0k2bYw1",
    "request_id": "7c1f3a0a2b9f47bd8c9b6c1c40a5d2e1",
    "timestamp": "2026-03-05T11:22:33Z",
    "tokens": {"consumed": 1, "remaining": 99},
}

ENVELOPE_EXAMPLE: Final[dict[str, Any]] = {
    "status": "success",
    "auth_token": "eyJhbGciOi…",
    "node": "mQ3vT0k2bYw1",
    "request_id": "7c1f3a0a2b9f47bd8c9b6c1c40a5d2e1",
    "timestamp": "2026-03-05T11:22:33Z",
    "tokens": {"consumed": 1, "remaining": 99},
    "version": "0.1.0",
}
"""What stands around the example of an answer."""
