"""Music and announcements (kazoo-behaviour 7.8)."""

from typing import Final

from . import shared
from .fields import boolean, choice, document, integer, mapping, text

RECORDING_MAX_BYTES: Final = 64_000_000
"""An hour of a recorded call, and a little."""

MEDIA: Final = document(
    "Something to be played",
    {
        "name": shared.name("Name for people"),
        "description": text("For people", longest=128),
        "media_source": choice("Where it comes from", "upload", "tts", "recording", default="upload"),
        "language": shared.language(),
        "streamable": boolean("It can be fetched", default=True),
        "content_type": text("Type of the uploaded file", longest=128),
        "content_length": integer("Bytes of the file", least=1, most=RECORDING_MAX_BYTES),
        "prompt_id": text("Prompt it stands for", longest=128),
        "tts": mapping(
            "Text to be spoken",
            {"text": text("Text", multiline=True), "voice": text("Voice", longest=64)},
            default={},
        ),
    },
    required=("name",),
)
