"""Resources: carriers and their gateways (kazoo-behaviour 7.6)."""

from typing import Final

from . import shared
from .fields import Schema, array, boolean, choice, document, integer, mapping, number, text

CODECS: Final = (
    "G729", "PCMU", "PCMA", "G722_16", "G722_32", "CELT_48", "CELT_64", "Speex", "GSM", "OPUS",
    "H261", "H263", "H264", "VP8",
)  # fmt: skip


PEM: Final = r"^(\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)*$"


def _pattern() -> Schema:
    return text("Regular expression", shortest=1, longest=256, check="regex")


GATEWAY: Final = mapping(
    "One server of the carrier",
    {
        "name": text("Name for people", longest=128),
        "server": text("Host or address", shortest=1, longest=128, pattern=shared.HOST),
        "port": integer("Port", least=1, most=65_535, default=5060),
        "realm": text("Domain in From and for digest", longest=253, pattern=shared.REALM),
        "username": text("Digest username", longest=32, check="sip_user"),
        "password": text("Digest password", longest=32),
        "prefix": text("Put before the number", longest=64, check="uri_part"),
        "suffix": text("Put after the number", longest=64, check="uri_part"),
        "route": text("Request-URI to use as it is", check="uri_part"),
        "invite_format": choice(
            "Form of the number", "route", "username", "e164", "npan", "1npan", "strip_plus", default="route"
        ),
        "codecs": array("Codecs in order of preference", choice("Codec", *CODECS)),
        "enabled": boolean("It is used", default=True),
        "caller_id_type": choice("Which caller id is shown", "internal", "external", "emergency"),
        "channel_selection": choice("For telephony boards", "ascending", "descending"),
        "bypass_media": boolean("Media goes directly between the parties"),
        "progress_timeout": integer("Seconds to wait for a sign of ringing", least=1, most=shared.RING_MAX_S),
        "custom_sip_headers": shared.custom_sip_headers(),
        "custom_sip_interface": text("Name of the interface to use"),
        "endpoint_type": choice("What it is", "sip", "freetdm", "skype", "amqp", default="sip"),
        "force_port": boolean("Calls from it must come from this port", default=False),
        "format_from_uri": boolean("From is rewritten for this gateway"),
        "from_uri_realm": text("Domain in From", longest=253, pattern=shared.REALM),
        "follow_redirects": boolean("Addresses it names in a 3xx are rung, if their host is allowed"),
        "identity_header": choice(
            "Header that tells the carrier who calls: P-Asserted-Identity, Remote-Party-ID, both or none",
            "asserted",
            "remote_party",
            "both",
            "none",
        ),
        "invite_parameters": mapping(
            "Parameters of the Request-URI",
            {
                "static": array("As they are", text("Parameter", longest=128, check="uri_part")),
                "dynamic": array("From the request", {"type": ["string", "object"]}),
            },
        ),
        "media": mapping("Media settings"),
        "transport": choice("Transport to reach it by", "udp", "tcp", "tls"),
        "tls_ca": text(
            "PEM certificates to check its certificate with, instead of the system's",
            longest=32_768,
            pattern=PEM,
            multiline=True,
        ),
        "tls_verify": boolean("Its certificate is checked; false takes any", default=True),
    },
    required=("server",),
)

CLASSIFIER: Final = mapping(
    "What to do with a class of numbers",
    {
        "enabled": boolean("This class is taken", default=True),
        "emergency": boolean("These are emergency calls", default=False),
        "prefix": text("Put before the number", longest=64, check="uri_part"),
        "suffix": text("Put after the number", longest=64, check="uri_part"),
        "regex": text("Regular expression instead of the classifier's", longest=256, check="regex"),
        "weight_cost": integer("Order among carriers", least=0, most=100),
    },
)

INBOUND: Final = mapping(
    "Calls that the carrier brings; it is known by its address or by its digest, and by neither unless set",
    {
        "addresses": array(
            "Networks it calls from: `192.0.2.0/28`", text("Network", longest=49, check="network"), most=64
        ),
        "username": text("Digest username, unique in the installation", longest=64, check="sip_user"),
        "password": text("Digest password", shortest=8, longest=64),
    },
    check="inbound",
)

RESOURCE: Final = document(
    "A carrier",
    {
        "name": shared.name("Name for people"),
        "gateways": array("Servers, in order", GATEWAY, most=64),
        "rules": array(
            "Numbers that are taken; the first group is the number to send", _pattern(), default=[]
        ),
        "cid_rules": array("Caller ids that are taken", _pattern()),
        "rules_test": array("Numbers to try the rules with", text("Number")),
        "classifiers": mapping(
            "Classes of numbers that are taken, when there are no rules", others=CLASSIFIER
        ),
        "caller_id_options": mapping("Caller id", {"type": text("Which caller id is shown", longest=32)}),
        "emergency": boolean("Carries emergency calls", default=False),
        "enabled": boolean("It is used", default=True),
        "flags": shared.flags() | {"default": []},
        "flat_rate_blacklist": text("Numbers without flat rate"),
        "flat_rate_whitelist": text("Numbers with flat rate"),
        "format_from_uri": boolean("From is rewritten for this carrier"),
        "formatters": shared.formatters(),
        "from_account_realm": boolean("From carries the account's domain", default=False),
        "from_uri_realm": text("Domain in From", longest=253, pattern=shared.REALM),
        "gateway_strategy": choice("Order of the servers", "sequential", "random"),
        "grace_period": integer("Seconds before the next server is tried", least=1, most=20, default=5),
        "inbound": INBOUND,
        "ignore_flags": boolean("Taken whatever the call's flags"),
        "require_flags": boolean("Taken only for calls with flags"),
        "media": mapping("Media settings"),
        "template_name": text("Template it was made from", longest=128),
        "weight_cost": number("Order among carriers, lower first", least=0, most=100, default=50),
    },
    required=("name", "gateways"),
)
