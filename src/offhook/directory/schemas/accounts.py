"""Accounts (kazoo-behaviour 7.1)."""

from typing import Final

from . import shared
from .fields import array, boolean, document, mapping, text

ACCOUNT: Final = document(
    "An account: a tenant with its own SIP domain",
    {
        "name": shared.name("Name, unique in the installation when compared by letters and digits"),
        "realm": text(
            "SIP domain, unique in the installation", shortest=4, longest=253, pattern=shared.REALM
        ),
        "timezone": text("Time zone, for example Europe/Berlin", shortest=3, longest=64),
        "language": shared.language(),
        "enabled": boolean("People of this account can log in and call", default=True),
        "caller_id": shared.caller_id(),
        "caller_id_options": shared.caller_id_options(),
        "call_restriction": shared.call_restriction(),
        "call_recording": mapping("Recording of calls"),
        "dial_out": shared.dial_out(is_account=True),
        "dial_plan": shared.dial_plan(),
        "do_not_disturb": shared.do_not_disturb(),
        "flags": shared.flags(),
        "formatters": shared.formatters(),
        "metaflows": shared.metaflows(),
        "music_on_hold": shared.music_on_hold(default={}),
        "notifications": mapping("Who is told of what", default={}),
        "org": text("Name of the organisation"),
        "preflow": mapping(
            "What happens before every call", {"always": text("Id of a callflow", longest=64)}, default={}
        ),
        "ringtones": shared.ringtones(),
        "sip_uri_allow": array(
            "Hosts that a SIP URI contact may name",
            text("Host", shortest=1, longest=253, pattern=shared.HOST),
        ),
        "topup": mapping("Automatic payment"),
        "voicemail": mapping("Voicemail settings"),
        "zones": mapping("Zones of the cluster"),
    },
    required=("name",),
)
