"""Phone numbers of an account (kazoo-behaviour 7.8)."""

from typing import Final

from .fields import document, mapping, text

PHONE_NUMBER: Final = document(
    "What is said about a number",
    {
        "cnam": mapping("Name shown with the number", {"display_name": text("Name", longest=15)}),
        "e911": mapping("Address for emergency calls"),
        "carrier_name": text("Who provides it", longest=64),
    },
)
