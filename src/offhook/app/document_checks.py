"""What must hold of a document beyond its schema: media are the account's own, passwords fit user names."""

import re
from functools import partial
from typing import Final

from offhook.directory import Document, Faults, IsPlayable, Json, validate

from .storage import Documents

MEDIA_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
"""Ids of media documents; other names are files that the operator put into the media folder."""


class DocumentChecks:
    """Validates documents. is_playable tells which texts but media ids everybody may play; None: all."""

    def __init__(self, documents: Documents, is_playable: IsPlayable | None = None) -> None:
        self._documents = documents
        self._is_playable = is_playable

    async def validated(self, document: Document, before: Document | None) -> tuple[Json, Faults]:
        """Return the data as it is to be stored, and every fault. before is the stored document, if any.

        Media ids are taken on trust first: most documents name none, and looking for one takes a wait.
        """
        asked: set[str] = set()

        def is_playable(text: str, known: frozenset[str] | None = None) -> bool:
            if MEDIA_ID.match(text):
                asked.add(text)
                return known is None or text in known
            return self._is_playable is None or self._is_playable(text)

        data, faults = validate(document.type, document.data, is_playable=is_playable)
        if asked:
            own = frozenset(
                [id for id in asked if await is_own_media(self._documents, document.account_id, id)]
            )
            data, faults = validate(document.type, document.data, is_playable=partial(is_playable, known=own))
        if document.type == "user" and not faults:
            faults = password_faults(data, before)
        return data, faults

    async def may_play(self, account_id: str, media: str) -> bool:
        """Tell whether an account may play a media text: its own upload, a tone, or what everybody has."""
        if MEDIA_ID.match(media):
            return await is_own_media(self._documents, account_id, media)
        return self._is_playable is None or self._is_playable(media)


async def is_own_media(documents: Documents, account_id: str, media_id: str) -> bool:
    """Tell whether it is an upload of the account that has a file."""
    found = await documents.get(account_id, media_id, type="media")
    return found is not None and found.private.get("uploaded") is True


def password_faults(data: Json, before: Document | None) -> Faults:
    """Return what is wrong with a user's name and password.

    A password is needed whenever the username is new or changes: the stored digests contain both.
    """
    username, password = data.get("username"), data.get("password")
    had = before.data.get("username") if before is not None else None
    if password is not None and username is None:
        return _required("username")
    if username is not None and username != had and password is None:
        return _required("password")
    return {}


def _required(name: str) -> Faults:
    return {name: {"required": {"message": "Field is required but missing", "value": name}}}
