"""Parts that several document types share. Each function returns a fresh schema."""

from typing import Any, Final

from .fields import MAP_MAX, Schema, array, boolean, choice, integer, mapping, text

REALM: Final = r"^[.A-Za-z0-9_-]+$"
HOST: Final = r"^[.A-Za-z0-9_:\[\]-]+$"
CAV_NAME: Final = r"^[a-zA-Z0-9_-]+$"
ID_LENGTH: Final = 32

AUDIO_CODECS: Final = (
    "OPUS", "CELT@32000h", "G7221@32000h", "G7221@16000h", "G722", "speex@32000h", "speex@16000h",
    "PCMU", "PCMA", "G729", "GSM", "CELT@48000h", "CELT@64000h", "G722_16", "G722_32", "CELT_48",
    "CELT_64", "Speex", "speex", "iLBC", "AMR",
)  # fmt: skip
VIDEO_CODECS: Final = ("H261", "H263", "H264", "VP8")

RING_MAX_S: Final = 600
"""Nobody listens to ringback for ten minutes; a forgotten call must end."""


DIAL_OUT_MAX: Final = 10_000
"""Calls at once or a minute: more is no limit."""


def name(description: str) -> Schema:
    """Return a document's name."""
    return text(description, shortest=1, longest=128)


def ring_time(description: str, *, least: int = 1, default: Any = None) -> Schema:
    """Return a time to ring in seconds."""
    if default is None:
        return integer(description, least=least, most=RING_MAX_S)
    return integer(description, least=least, most=RING_MAX_S, default=default)


def _party(whose: str, **more: Schema) -> Schema:
    fields = {
        "name": text(f"Name shown for {whose}", longest=35),
        "number": text(f"Number shown for {whose}", longest=35),
        **more,
    }
    return mapping(f"Caller id for {whose}", fields)


def caller_id() -> Schema:
    """Return caller ids by kind of call."""
    fields = {
        "internal": _party("calls inside the account"),
        "external": _party("calls to the public network"),
        "emergency": _party("emergency calls"),
        "asserted": _party("P-Asserted-Identity", realm=text("Domain in it", longest=253, pattern=REALM)),
    }
    return mapping("Caller ids by kind of call", fields)


def caller_id_options() -> Schema:
    """Return what may be shown of the caller id."""
    fields = {
        "outbound_privacy": choice("What is hidden from the called party", "full", "name", "number", "none")
    }
    return mapping("Privacy of the caller id", fields)


def call_forward() -> Schema:
    """Return where calls are forwarded to, and when."""
    fields = {
        "enabled": boolean("Calls are forwarded", default=False),
        "number": text("Where to", longest=35),
        "failover": boolean("Only if the phone cannot be reached", default=False),
        "substitute": boolean("The phone itself does not ring", default=True),
        "require_keypress": boolean("The person there must press 1", default=True),
        "keep_caller_id": boolean("The original caller id is shown there", default=True),
        "direct_calls_only": boolean("Only calls to this phone, not to a group", default=False),
        "ignore_early_media": boolean("Early media from there is ignored", default=True),
    }
    return mapping("Call forwarding", fields)


def call_restriction() -> Schema:
    """Return the classes of numbers that may not be called."""
    rule = mapping(
        "Rule for one class of numbers",
        {"action": choice("What happens", "inherit", "deny")},
        required=("action",),
    )
    return mapping("Rules by class of number", others=rule, most=MAP_MAX, default={})


def dial_out(*, is_account: bool = False) -> Schema:
    """Return what phones may do that dial a number outside: an account allows it, the others narrow it."""
    enabled = (
        boolean("Phones may dial numbers outside", default=False)
        if is_account
        else boolean("false: these phones may not")
    )
    fields = {
        "enabled": enabled,
        "calls": integer("Such calls at once", least=0, most=DIAL_OUT_MAX),
        "calls_per_minute": integer("Such calls begun in a minute", least=0, most=DIAL_OUT_MAX),
    }
    return mapping("Calls that phones dial to numbers outside", fields)


def dial_plan() -> Schema:
    """Return rules that complete what people dial."""
    rule = mapping(
        "What a matching number becomes",
        {
            "prefix": text("Put before the first group", longest=64),
            "suffix": text("Put after it", longest=64),
            "description": text("For people"),
        },
    )
    system = array("Names of dial plans of the system", text("Name"))
    return mapping(
        "Rules by regular expression", {"system": system}, others=rule, most=MAP_MAX, check="regex_names"
    )


def do_not_disturb() -> Schema:
    """Return the do-not-disturb switch."""
    return mapping("Do not disturb", {"enabled": boolean("No call rings here")})


def custom_sip_headers() -> Schema:
    """Return extra header fields: flat, or apart for the two directions."""

    def header() -> Schema:
        return text("Value of the header field", longest=1_024)

    fields = {
        way: mapping(f"Header fields for calls {way}", others=header(), most=MAP_MAX, check="header_names")
        for way in ("in", "out")
    }
    return mapping(
        "Extra header fields of INVITEs", fields, others=header(), most=MAP_MAX, check="header_names"
    )


def custom_application_vars(*, default: Any = None) -> Schema:
    """Return a client's own words about a call, shown in its events, history and CDRs."""
    value = text("Value", longest=1_024)
    extra = {} if default is None else {"default": default}
    return mapping("Your own data about the call", others=value, names=CAV_NAME, most=MAP_MAX, **extra)


def bypass_media(description: str = "Whether media goes directly between the parties") -> Schema:
    """Return KAZOO's mixture of booleans and words."""
    return {
        "type": ["boolean", "string"],
        "description": description,
        "enum": [True, False, "auto", "true", "false"],
    }


def media() -> Schema:
    """Return how an endpoint hears and is heard."""
    fields = {
        "audio": mapping(
            "Sound",
            {"codecs": array("Codecs in order of preference", choice("Codec", *AUDIO_CODECS))},
            default={},
        ),
        "video": mapping(
            "Pictures",
            {"codecs": array("Codecs in order of preference", choice("Codec", *VIDEO_CODECS), default=[])},
            default={},
        ),
        "encryption": mapping(
            "Encryption of media",
            {
                "enforce_security": boolean("Calls without encryption fail", default=False),
                "methods": array("Ways to encrypt, in order", choice("Way", "srtp", "zrtp"), default=[]),
            },
            default={},
        ),
        "bypass_media": bypass_media(),
        "ignore_early_media": boolean("Early media from here is ignored"),
        "progress_timeout": integer("Seconds to wait for a sign of ringing", least=0, most=RING_MAX_S),
        "fax_option": {"type": ["boolean", "string"], "description": "T.38", "enum": [True, False, "auto"]},
    }
    return mapping("Media settings", fields, default={})


def music_on_hold(*, default: Any = None) -> Schema:
    """Return what is played to people who wait."""
    extra = {} if default is None else {"default": default}
    return mapping(
        "What people hear who wait", {"media_id": text("Media id, or tone", check="playable")}, **extra
    )


def ringtones() -> Schema:
    """Return Alert-Info values."""
    fields = {
        "internal": text("Alert-Info of calls inside the account", longest=256),
        "external": text("Alert-Info of calls from outside", longest=256),
    }
    return mapping("Alert-Info by kind of call", fields, default={})


def flags(description: str = "Words by which other rules know this document") -> Schema:
    """Return free words."""
    return array(description, text("Word", longest=128))


def presence_id() -> Schema:
    """Return an identity for busy lamp fields."""
    return text("Identity published for presence: `user` or `user@realm`", longest=256, check="presence_id")


def language() -> Schema:
    """Return a language of prompts."""
    return text("Language, for example en-us", longest=32)


def timezone() -> Schema:
    """Return a time zone."""
    return text("Time zone, for example Europe/Berlin", shortest=3, longest=64)


def formatters() -> Schema:
    """Return rules that rewrite fields of calls; kept for clients, see the options reference."""
    return mapping("Rules that rewrite call fields")


def metaflows() -> Schema:
    """Return what keys do during a call; kept for clients."""
    return mapping("What keys pressed during a call do")
