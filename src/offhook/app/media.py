"""Music and announcements of an account: uploaded, kept as they came, and made ready to play."""

from pathlib import Path
from typing import Final, Protocol

import msgspec

from offhook.directory import Document

from .document_checks import MEDIA_ID
from .documents import DocumentService, Place
from .errors import AppError, NotAllowed, UnknownDocument

__all__ = [
    "CONTENT_TYPES",
    "MEDIA_ID",
    "MediaFiles",
    "MediaService",
    "MediaUnreadable",
    "described",
    "is_uploaded",
]

CONTENT_TYPES: Final = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav",
    "audio/mp3": "mp3", "audio/mpeg": "mp3", "audio/mpeg3": "mp3", "audio/x-mpeg-3": "mp3",
    "audio/ogg": "ogg", "application/ogg": "ogg", "audio/vorbis": "ogg",
    "audio/flac": "flac", "audio/x-flac": "flac",
}  # fmt: skip
"""Types that are taken, and the ends of their file names."""


class MediaUnreadable(AppError):
    """The uploaded file is no audio file that can be read."""

    code = "media-unreadable"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class MediaFiles(Protocol):
    """Where the files are."""

    async def save(self, media_id: str, content: bytes) -> None:
        """Keep the file and make it ready to play, replacing what was there.

        Raises MediaUnreadable: then nothing has changed. Raises StorageLost.
        """
        ...

    async def adopt(self, media_id: str, wav: Path) -> int:
        """Take a WAV file that is ready to play away to its place; return its bytes. Raises StorageLost."""
        ...

    async def read(self, media_id: str) -> bytes | None:
        """Return the file as it was uploaded, or None."""
        ...

    async def remove(self, media_id: str) -> None:
        """Forget it; harmless if there is none."""
        ...


class MediaService:
    """Media documents and their files."""

    def __init__(self, documents: DocumentService, files: MediaFiles) -> None:
        self._documents = documents
        self._files = files

    async def upload(self, document: Document, content: bytes, content_type: str) -> Document:
        """Take the file of a document. Raises MediaUnreadable, StorageLost, RevisionConflict, NotAllowed."""
        if document.data.get("media_source", "upload") == "tts":
            raise NotAllowed
        await self._files.save(document.id, content)
        return await self._has_file(document, content_type, len(content))

    async def take_file(self, document: Document, wav: Path, content_type: str) -> Document:
        """Take a WAV file of our own making as the file of a document. Raises as `upload` does."""
        return await self._has_file(document, content_type, await self._files.adopt(document.id, wav))

    async def _has_file(self, document: Document, content_type: str, size_bytes: int) -> Document:
        """Say in the document that its file is there."""
        place = Place(type="media", account_id=document.account_id)
        told = {"content_type": content_type, "content_length": size_bytes}
        changed = await self._documents.patch(place, document.id, told)
        return await self._documents.keep_private(changed, {**changed.private, "uploaded": True})

    async def content(self, document: Document) -> bytes:
        """Return the file as it was uploaded. Raises UnknownDocument if there is none."""
        found = await self._files.read(document.id) if is_uploaded(document) else None
        if found is None:
            raise UnknownDocument(document.id)
        return found

    async def forget(self, account_id: str, media_id: str) -> None:
        """Remove the file of a document that was deleted."""
        if MEDIA_ID.match(media_id) and await self._is_gone(account_id, media_id):
            await self._files.remove(media_id)

    async def _is_gone(self, account_id: str, media_id: str) -> bool:
        try:
            await self._documents.read(account_id, media_id, type="media")
        except UnknownDocument:
            return True
        return False


def is_uploaded(document: Document) -> bool:
    """Tell whether there is something to play."""
    return document.private.get("uploaded") is True


class Described(msgspec.Struct, frozen=True):
    """A type of file."""

    content_type: str
    extension: str


def described(content_type: str, name: str) -> Described | None:
    """Return what kind of file this is, by its type, or else by its name; None if it is not taken."""
    if content_type in CONTENT_TYPES:
        return Described(content_type, CONTENT_TYPES[content_type])
    extension = name.rpartition(".")[2].lower()
    known = next((type for type, end in CONTENT_TYPES.items() if end == extension), None)
    if known is None or content_type not in ("", "application/octet-stream"):
        return None
    return Described(known, extension)
