"""The names of the targets, to be had without importing (and so instrumenting) what they test."""

from typing import Final

NAMES: Final = ("codec", "framing", "sdp", "grammar", "registrar", "dialogs")
