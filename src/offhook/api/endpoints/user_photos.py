"""What a user looks like: `/users/{id}/photo` and `/users/{id}/vcard` (kazoo-behaviour 7.2)."""

from base64 import b64encode
from typing import Final

from offhook.api.envelope import Reply, document_reply
from offhook.api.errors import ApiError, fault, field_fault
from offhook.api.request import Request
from offhook.api.routing import Handler, Route
from offhook.app.errors import NotAllowed
from offhook.app.photos import PHOTO_MAX_BYTES, picture_type
from offhook.directory.model import Document
from offhook.directory.vcard import user_vcard

from .collections import ACCOUNT_ITEM
from .directory import Users

BASE64: Final = "application/base64"

NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
"""A browser must not take a picture for a page."""


class UserPhotos(Users):
    """Pictures and cards of users."""

    async def photo(self, request: Request) -> Reply:
        """GET …/photo: the picture as it came; in base64 if the client asks for that."""
        user = await self.document(request)
        content = await self.services.photos.read(user.id)
        if content is None:
            raise fault("bad_identifier", cause=user.id)
        accepted = request.text_value("accept") or request.headers.get("accept", "")
        if BASE64 in accepted:
            return Reply(body=b64encode(content), content_type=BASE64)
        return Reply(body=content, content_type=picture_type(content), headers=(NO_SNIFFING,))

    async def set_photo(self, request: Request) -> Reply:
        """POST …/photo: the picture, as it is, in base64 or as a part of a form."""
        user = await self._writable(request)
        upload = request.upload
        if upload is None or not upload.content:
            raise field_fault("photo", "required", "please provide a picture", value="photo")
        if len(upload.content) > PHOTO_MAX_BYTES:
            text = f"Pictures must not be more than {PHOTO_MAX_BYTES} bytes"
            raise field_fault("photo", "maxSize", text, target=PHOTO_MAX_BYTES)
        if not picture_type(upload.content):
            raise ApiError(
                415, "unsupported_media_type", {"message": "pictures are PNG, JPEG, GIF or WebP files"}
            )
        await self.services.photos.save(user.id, upload.content)
        return document_reply(user, await self.shown(request, user))

    async def delete_photo(self, request: Request) -> Reply:
        """DELETE …/photo: there is none from now on."""
        user = await self._writable(request)
        if not await self.services.photos.remove(user.id):
            raise fault("bad_identifier", cause=user.id)
        return document_reply(user, await self.shown(request, user))

    async def vcard(self, request: Request) -> Reply:
        """GET …/vcard: the user as a card for address books."""
        user = await self.document(request)
        content = await self.services.photos.read(user.id) or b""
        kind = picture_type(content).partition("/")[2].upper()
        photo = (kind, b64encode(content).decode("ascii"))
        card = user_vcard(user.data, request.target.data, photo=photo)
        return Reply(body=card.encode("utf-8", "replace"), content_type="text/x-vcard")

    async def _writable(self, request: Request) -> Document:
        """Return the user, if this caller may change the picture: administrators, and the user itself."""
        caller = request.caller
        if not caller.is_admin and caller.owner_id != request.arguments["id"]:
            raise NotAllowed
        return await self.document(request)

    def routes(self) -> list[Route]:
        """Return the routes of pictures and cards."""
        user = f"{ACCOUNT_ITEM}/users/{{id}}"
        photo: dict[str, Handler] = {"GET": self.photo, "POST": self.set_photo, "DELETE": self.delete_photo}
        return [
            Route(f"{user}/photo", photo, takes_files=True),
            Route(f"{user}/vcard", {"GET": self.vcard}),
        ]
