"""Users (kazoo-behaviour 7.2)."""

from typing import Final

from . import shared
from .fields import boolean, choice, document, mapping, text

USER: Final = document(
    "A person",
    {
        "first_name": text("First name", shortest=1, longest=128),
        "last_name": text("Last name", shortest=1, longest=128),
        "username": text(
            "Name to log in with, unique in the account",
            shortest=1,
            longest=256,
            pattern=r"^[+@.A-Za-z0-9_-]+$",
        ),
        "password": text("Password to log in with; never given back", longest=256),
        "email": text("E-mail address", shortest=3, longest=254, format="email"),
        "priv_level": choice("What the person may do", "user", "admin", default="user"),
        "enabled": boolean("The person can log in, and the phones ring", default=True),
        "allow_anonymous_quickcalls": boolean("Anybody may quickcall this person's phones"),
        "caller_id": shared.caller_id(),
        "caller_id_options": shared.caller_id_options(),
        "call_forward": shared.call_forward(),
        "call_recording": mapping("Recording of calls"),
        "call_restriction": shared.call_restriction(),
        "contact_list": mapping(
            "Contact list", {"exclude": boolean("Left out of the contact list")}, default={}
        ),
        "dial_out": shared.dial_out(),
        "dial_plan": shared.dial_plan(),
        "do_not_disturb": shared.do_not_disturb(),
        "feature_level": text("Level of service"),
        "flags": shared.flags(),
        "formatters": shared.formatters(),
        "hotdesk": mapping(
            "Using other people's phones",
            {
                "enabled": boolean("Allowed", default=False),
                "id": text("Number to log in with", longest=15),
                "pin": text("Secret digits", shortest=4, longest=15),
                "require_pin": boolean("The secret digits are asked for", default=False),
                "keep_logged_in_elsewhere": boolean("Stays logged in at other phones", default=False),
            },
            default={},
        ),
        "language": shared.language(),
        "media": shared.media(),
        "metaflows": shared.metaflows(),
        "music_on_hold": shared.music_on_hold(default={}),
        "presence_id": shared.presence_id(),
        "profile": mapping("Address book entry", default={}),
        "require_password_update": boolean("A new password is asked for at login", default=False),
        "ringtones": shared.ringtones(),
        "timezone": shared.timezone(),
        "verified": boolean("The e-mail address was checked", default=False),
        "vm_to_email_enabled": boolean("Voicemail is sent by e-mail", default=True),
    },
    required=("first_name", "last_name"),
)
