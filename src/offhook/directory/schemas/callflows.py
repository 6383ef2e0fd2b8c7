"""Callflows, and the data of the modules that offhook knows (kazoo-behaviour 7.5)."""

from typing import Any, Final

from . import shared
from .fields import Schema, array, boolean, choice, document, integer, mapping, text

NUMBERS_MAX: Final = 5_000
"""A company's whole block of numbers on one callflow."""

ACTION: Final = mapping(
    "One step of a flow",
    {
        "module": text("What is done", shortest=1, longest=64),
        "data": mapping("How it is done", default={}),
        "children": mapping(
            "What is done next, by result; `_` for all others", others={"$ref": "#/$defs/action"}
        ),
    },
    required=("module", "data"),
    check="module_data",
)

CALLFLOW: Final = document(
    "What happens to calls to some numbers",
    {
        "name": text("Name for people", longest=128),
        "numbers": array(
            "Numbers and extensions",
            text("Number", shortest=1, longest=128),
            most=NUMBERS_MAX,
            unique=True,
            default=[],
        ),
        "patterns": array(
            "Regular expressions for numbers",
            text("Regular expression", shortest=1, longest=256, check="regex"),
            unique=True,
            default=[],
        ),
        "flow": {"$ref": "#/$defs/action"},
        "featurecode": {
            "type": ["object", "boolean"],
            "description": "The feature this is",
            "properties": {"name": text("Name", longest=128), "number": text("Number", longest=30)},
        },
        "flags": shared.flags(),
        "metaflow": mapping("What keys pressed during a call do"),
        "ringback": mapping(
            "What callers hear",
            {
                "early": text("Before anybody answered", check="playable"),
                "transfer": text("While being transferred", check="playable"),
            },
        ),
        "owner_id": text("Id of the user it belongs to", longest=64),
        "group_id": text("Id of the group it belongs to", longest=64),
    },
    definitions={"action": ACTION},
    check="callflow",
)


def _module(title: str, fields: dict[str, Schema], *, required: tuple[str, ...] = ()) -> Schema:
    return document(title, {"skip_module": boolean("This step is left out"), **fields}, required=required)


def _document_id(of: str) -> Schema:
    return text(f"Id of the {of}", longest=2_048)


def _rings(timeout_s: int) -> dict[str, Schema]:
    return {
        "id": _document_id("document"),
        "timeout": integer("Seconds to ring", least=0, most=shared.RING_MAX_S, default=timeout_s),
        "delay": integer("Seconds to wait first", least=0, most=shared.RING_MAX_S, default=0),
        "can_call_self": boolean("The caller's own phones ring too"),
        "fail_on_single_reject": {
            "type": ["boolean", "string"],
            "description": "One refusal ends the ringing",
        },
        "static_invite": text("User part of the Request-URI", check="uri_part"),
        "suppress_clid": boolean("No caller id is shown"),
        "custom_sip_headers": shared.custom_sip_headers(),
    }


_GROUP_MEMBER: Final = mapping(
    "Somebody who rings",
    {
        "id": _document_id("device, user or group"),
        "endpoint_type": choice("What it is", "device", "user", "group"),
        "delay": integer("Seconds to wait first", least=0, most=shared.RING_MAX_S, default=0),
        "timeout": integer("Seconds to ring", least=0, most=shared.RING_MAX_S, default=20),
        "weight": integer("Likelihood in weighted_random", least=1, most=100),
    },
    required=("id", "endpoint_type"),
)

_CARRIER: Final[dict[str, Any]] = {
    "to_did": text("Number to send instead", longest=128),
    "caller_id_type": text("Which caller id is shown", longest=32),
    "do_not_normalize": boolean("The number is sent as dialled"),
    "bypass_e164": boolean("The number is sent as dialled"),
    "use_local_resources": boolean("The account's own carriers are used", default=True),
    "hunt_account_id": text("Account whose carriers are used", longest=32),
    "outbound_flags": array("Words the carrier must know", text("Word", longest=128)),
    "dynamic_flags": array("Words taken from the call", {"type": ["string", "array"]}),
    "timeout": integer("Seconds to ring", least=0, most=shared.RING_MAX_S),
    "ringback": text("What the caller hears", check="playable"),
    "ignore_early_media": boolean("Early media is not heard", default=False),
    "format_from_uri": boolean("From is rewritten"),
    "from_uri_realm": text("Domain in From", longest=253, pattern=shared.REALM),
    "custom_sip_headers": shared.custom_sip_headers(),
    "emit_account_id": boolean("The carrier is told the account"),
    "resource_type": text("Kind of resource", longest=32),
}

MODULES: Final[dict[str, Schema]] = {
    "user": _module(
        "Ring all phones of a user",
        _rings(20) | {"strategy": choice("How", "simultaneous", "single", default="simultaneous")},
    ),
    "device": _module("Ring a phone", _rings(0) | {"dial_strategy": choice("How", "simultaneous", "single")}),
    "ring_group": _module(
        "Ring several people",
        {
            "name": text("Name for people", longest=128),
            "endpoints": array("Who rings", _GROUP_MEMBER, fewest=1, most=200),
            "strategy": choice("How", "simultaneous", "single", "weighted_random", default="simultaneous"),
            "timeout": integer("Seconds to ring", least=0, most=shared.RING_MAX_S, default=20),
            "repeats": integer("How often the group is tried", least=1, most=20, default=1),
            "ringback": text("What the caller hears", check="playable"),
            "ringtones": shared.ringtones(),
            "ignore_forward": {"type": ["boolean", "string"], "description": "Call forwarding is ignored"},
            "fail_on_single_reject": {
                "type": ["boolean", "string"],
                "description": "One refusal ends the ringing",
            },
        },
        required=("endpoints",),
    ),
    "resources": _module("Call through a carrier", _CARRIER),
    "offnet": _module("Call through a carrier of the installation", _CARRIER),
    "callflow": _module("Go on in another callflow", {"id": _document_id("callflow")}),
    "hangup": _module("End the call", {}),
    "response": _module(
        "Refuse the call",
        {
            "code": integer("SIP status", least=300, most=699),
            "message": text("Reason phrase", longest=128),
            "media": text("What the caller hears first", check="playable"),
        },
        required=("code",),
    ),
    "play": _module(
        "Play something",
        {
            "id": _document_id("media, or URL"),
            "answer": boolean("The call is answered first"),
            "loop_count": integer("How often", least=1, most=1_000),
            "endless_playback": boolean("Until the caller hangs up", default=False),
            "terminators": array("Keys that end it", choice("Key", *"0123456789*#")),
        },
    ),
    "tts": _module(
        "Read a text aloud",
        {
            "text": text("The text", shortest=1, longest=1_000, multiline=True),
            "voice": text("Voice", longest=64),
            "language": text("Language", longest=32),
            "engine": choice("Engine", "flite", "google", "ispeech", "voicefabric"),
            "endless_playback": boolean("Until the caller hangs up", default=False),
            "terminators": array("Keys that end it", choice("Key", *"0123456789*#")),
        },
        required=("text",),
    ),
    "answer": _module("Answer the call", {}),
    "sleep": _module(
        "Wait",
        {
            "duration": integer("How long", least=0, most=86_400_000, default=0),
            "unit": choice("Of what", "ms", "s", "m", "h", default="s"),
        },
    ),
    "transfer": _module(
        "Send the call elsewhere",
        {
            "target": text("Where to", longest=256, check="uri_part"),
            "transfer_type": choice("How", "blind", "attended", default="blind"),
            "leg": choice("Which leg", "self", "bleg", default="self"),
        },
    ),
    "set_cid": _module(
        "Set the caller id",
        {
            "caller_id_name": text("Name", longest=128),
            "caller_id_number": text("Number", longest=128),
        },
    ),
    "prepend_cid": _module(
        "Put something before the caller id",
        {
            "action": choice("What is done", "prepend", "reset"),
            "caller_id_name_prefix": text("Before the name", longest=64),
            "caller_id_number_prefix": text("Before the number", longest=64),
        },
    ),
    "set_variables": _module(
        "Set your own data about the call",
        {"custom_application_vars": shared.custom_application_vars(), "export": boolean("For both legs")},
    ),
}
"""`callflows.{module}`: other modules' data is kept as it is."""
