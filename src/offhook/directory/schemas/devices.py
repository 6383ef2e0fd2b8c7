"""Devices (kazoo-behaviour 7.3)."""

from typing import Final

from . import shared
from .fields import boolean, choice, document, integer, mapping, text

PRINTABLE: Final = "^[ -~]+$"
"""What may stand in a header field."""

SIP: Final = mapping(
    "How the phone speaks SIP",
    {
        "method": choice("How it proves who it is", "password", "ip", default="password"),
        "username": text("User of its address, unique in realm", shortest=2, longest=32, check="sip_user"),
        "password": text("Digest password", shortest=5, longest=32),
        "ip": text("Address it calls from, for the method ip", longest=45),
        "realm": text("SIP domain, if not the account's", shortest=4, longest=253, pattern=shared.REALM),
        "invite_format": choice(
            "What stands before the @ of the Request-URI",
            "username", "npan", "1npan", "e164", "route", "strip_plus", "contact",
            default="contact",
        ),
        "route": text("Request-URI for the invite format route", check="uri_part"),
        "static_route": text("Request-URI to use whatever the phone registered", check="uri_part"),
        "static_invite": text("User of the Request-URI to use instead", check="uri_part"),
        "number": text("Number to put into the Request-URI", longest=64, check="uri_part"),
        "proxy": text("Host through which it is reached", longest=253, check="uri_part"),
        "forward": text("Host to which requests are forwarded", longest=253, check="uri_part"),
        "transport": choice("Transport to reach it by", "udp", "tcp", "tls", "sctp", "ws", "wss"),
        "custom_sip_interface": text("Name of the interface to use"),
        "expire_seconds": integer("Seconds a registration should live", least=1, most=86_400, default=300),
        "auto_answer": choice(
            "How it is asked to answer by itself; auto: by its model",
            "auto", "call-info", "alert-autoanswer", "auto-answer", "ring-answer", "intercom", "intercom-uri",
            "answer-mode", "kazoo", "none",
        ),
        "ignore_completed_elsewhere": boolean("It does not hear that another phone answered"),
        "custom_sip_headers": shared.custom_sip_headers(),
        "registration_expiration": integer("Seconds a registration should live", least=1, most=86_400),
    },
    default={},
)  # fmt: skip

DEVICE: Final = document(
    "A phone",
    {
        "name": shared.name("Name for people"),
        "device_type": text("Kind of device: sip_device, softphone, cellphone, …", longest=64),
        "owner_id": text("Id of the user it belongs to", longest=shared.ID_LENGTH),
        "enabled": boolean("It may register, call and ring", default=True),
        "allow_anonymous_quickcalls": boolean("Anybody may quickcall this phone"),
        "sip": SIP,
        "call_forward": shared.call_forward(),
        "call_recording": mapping("Recording of calls"),
        "call_restriction": shared.call_restriction(),
        "caller_id": shared.caller_id(),
        "caller_id_options": shared.caller_id_options(),
        "contact_list": mapping(
            "Contact list", {"exclude": boolean("Left out of the contact list")}, default={}
        ),
        "dial_out": shared.dial_out(),
        "dial_plan": shared.dial_plan(),
        "do_not_disturb": shared.do_not_disturb(),
        "follow_redirects": boolean("Addresses it names in a 3xx are rung, if their host is allowed"),
        "exclude_from_queues": boolean("Queues do not ring it", default=False),
        "flags": shared.flags(),
        "formatters": shared.formatters(),
        "hotdesk": mapping("People logged in here", {"users": mapping("By user id")}),
        "language": shared.language(),
        "mac_address": text("Hardware address", longest=64),
        "media": shared.media(),
        "metaflows": shared.metaflows(),
        "music_on_hold": shared.music_on_hold(default={}),
        "mwi_unsolicited_updates": boolean("It is told of voicemail without asking", default=True),
        "outbound_flags": {
            "type": ["array", "object"],
            "description": "Words a carrier must know to be used",
            "items": {"type": "string", "maxLength": 128},
            "maxItems": 64,
        },
        "presence_id": shared.presence_id(),
        "provision": mapping("Settings for provisioning"),
        "register_overwrite_notify": boolean("Events for registrations from elsewhere", default=False),
        "ringtones": shared.ringtones(),
        "suppress_unregister_notifications": boolean("No event when it is gone", default=False),
        "timezone": shared.timezone(),
    },
    required=("name",),
    check="device",
)

NOTIFY: Final = document(
    "What a phone is told in a SIP NOTIFY",
    {
        "event": text("Event of the NOTIFY, as `check-sync`", shortest=1, longest=200, pattern=PRINTABLE),
        "body": mapping(
            "Its body",
            {
                "content_type": text("Content type", shortest=1, longest=100, pattern=PRINTABLE),
                "data": text("The body", longest=1_000, multiline=True),
            },
            required=("content_type", "data"),
        ),
    },
    required=("event",),
)
"""1,000 characters fit into a datagram with everything around them."""
