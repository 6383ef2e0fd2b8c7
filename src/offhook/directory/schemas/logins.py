"""Ways to get a token (kazoo-behaviour 3.1, 3.2)."""

from typing import Final

from .fields import choice, document, text
from .shared import REALM

USER_AUTH: Final = document(
    "Credentials of a user",
    {
        "credentials": text("Hex digest of `username:password`", shortest=1, longest=64),
        "method": choice("Which digest it is", "md5", "sha", default="md5"),
        "account_name": text("Name of the account", shortest=1, longest=128),
        "account_realm": text("SIP domain of the account", shortest=4, longest=253, pattern=REALM),
        "realm": text("SIP domain of the account", shortest=4, longest=253, pattern=REALM),
        "phone_number": text("Any number of the account", shortest=1, longest=64),
    },
    required=("credentials",),
)

API_AUTH: Final = document(
    "Credentials of a program",
    {"api_key": text("API key of the account", shortest=64, longest=64)},
    required=("api_key",),
    others=False,
)

RECOVERY: Final = document(
    "Who has forgotten a password",
    {
        "username": text("Name of the user", shortest=1, longest=256),
        "account_name": text("Name of the account", shortest=1, longest=128),
        "account_realm": text("SIP domain of the account", shortest=4, longest=253, pattern=REALM),
        "realm": text("SIP domain of the account", shortest=4, longest=253, pattern=REALM),
        "phone_number": text("Any number of the account", shortest=1, longest=64),
        "ui_url": text("Page the link leads to; the id is added as `recovery`", shortest=1, format="uri"),
    },
    required=("username", "ui_url"),
)
