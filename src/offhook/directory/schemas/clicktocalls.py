"""Buttons, and the options of connect and quickcall (kazoo-behaviour 5.2, 5.5, 6.3)."""

from typing import Final

from . import shared
from .fields import array, boolean, choice, document, integer, mapping, text

CONTACT_MAX: Final = 256
"""A SIP URI with a long user part; planning refuses numbers above 128."""

CLICKTOCALL: Final = document(
    "A button that puts two people on a call",
    {
        "name": shared.name("Name for people; the first party sees it as the caller's name"),
        "extension": text("Extension or number inside the account", shortest=1, longest=CONTACT_MAX),
        "auth_required": boolean("Only requests with a token may use it", default=True),
        "dial_first": choice("Who is rung first", "extension", "contact"),
        "caller_id_number": text("Number the first party sees", longest=128),
        "outbound_callee_id_name": text("Name the second party sees", longest=128),
        "outbound_callee_id_number": text("Number the second party sees", longest=128),
        "custom_application_vars": shared.custom_application_vars(default={}),
        "custom_sip_headers": shared.custom_sip_headers(),
        "media": mapping(
            "Media settings",
            {"ignore_early_media": boolean("The second party's early media is not heard")},
        ),
        "music_on_hold": shared.music_on_hold(),
        "bypass_media": shared.bypass_media(),
        "presence_id": shared.presence_id(),
        "ringback": text(
            "What the first party hears while the second rings: country code, tone or media id",
            check="playable",
        ),
        "throttle": integer("Most accepted connects per minute", least=1, most=100_000),
        "timeout": shared.ring_time("Seconds each party is rung"),
        "whitelist": array(
            "Regular expressions; the contact must match one as a whole",
            text("Regular expression", shortest=1, longest=256, check="regex"),
        ),
        "expose_request": boolean("Anonymous callers are shown the whole originate request"),
    },
    required=("name", "extension"),
)

CONNECT: Final = document(
    "What a connect may ask for",
    {
        "contact": text("Number, extension or SIP URI of the outside party", longest=CONTACT_MAX),
        "blocking": boolean("Answer when the first party answered or failed", loose=True),
        "auto_answer": boolean("The extension's phone answers by itself", loose=True),
        "dry_run": boolean("Answer with the plan and call nobody", loose=True),
        "custom_application_vars": shared.custom_application_vars(),
    },
)

QUICKCALL: Final = document(
    "What a quickcall may ask for",
    {
        "auto_answer": boolean("The phone answers by itself", loose=True),
        "cid-name": text("Name the far end sees", longest=128),
        "cid-number": text("Number the far end sees", longest=128),
        "custom_application_vars": shared.custom_application_vars(),
        "dry_run": boolean("Answer with the plan and call nobody", loose=True),
        "ignore-early-media": boolean("Early media is not passed on and not an answer", loose=True),
        "media": choice("Whether media goes directly between the parties", "bypass", "process"),
        "number_filter": {
            "type": ["boolean", "string"],
            "description": "true: strip separators; a regular expression: dial its first group",
            "maxLength": 256,
            "x-check": "number_filter",
        },
        "target_call_id": text("Call the new legs belong to", longest=256),
        "timeout": shared.ring_time("Seconds the phones ring", least=3),
    },
)
