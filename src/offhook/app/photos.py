"""Photos of users: small pictures that are kept as they came."""

from typing import Final, Protocol

PHOTO_MAX_BYTES: Final = 1_000_000
"""A portrait of 1,000 by 1,000 points has a fifth of that as JPEG."""

_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
PICTURE_TYPES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp")

_RIFF, _WEBP = b"RIFF", b"WEBP"


class UserPhotos(Protocol):
    """Where the pictures are. Ids are those of user documents."""

    async def save(self, user_id: str, content: bytes) -> None:
        """Keep the picture, replacing what was there. Raises StorageLost."""
        ...

    async def read(self, user_id: str) -> bytes | None:
        """Return the picture as it came, or None. Raises StorageLost."""
        ...

    async def remove(self, user_id: str) -> bool:
        """Forget it; return whether there was one. Raises StorageLost."""
        ...


def picture_type(content: bytes) -> str:
    """Return the content type by how the file begins; empty if it is no picture that browsers show safely.

    What the client said it was counts for nothing: the file is served to other people's browsers. SVG is left
    out, for it may run scripts.
    """
    if content[:4] == _RIFF and content[8:12] == _WEBP:
        return "image/webp"
    return next((kind for beginning, kind in _BEGINNINGS if content.startswith(beginning)), "")
