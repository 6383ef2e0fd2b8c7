"""Music and announcements (kazoo-behaviour 7.8): documents, and the files behind them."""

from typing import Final

from offhook.api.envelope import Reply, document_reply
from offhook.api.errors import ApiError, field_fault
from offhook.api.request import FILE_MAX_BYTES, Request
from offhook.api.routing import Route
from offhook.app.media import CONTENT_TYPES, MediaUnreadable, described, is_uploaded
from offhook.directory import Document, Json

from .collections import ACCOUNT_ITEM, Collection, picked

SUMMARY: Final = ("name", "media_source", "language", "content_type")


class Media(Collection):
    """`/media`."""

    type = "media"
    noun = "media"

    def summary(self, document: Document) -> Json:
        """Return a list item."""
        item = picked(document, SUMMARY, {"is_prompt": "prompt_id" in document.data})
        if "content_type" in item:
            item["media_type"] = item.pop("content_type")
        return item

    async def delete(self, request: Request) -> Reply:
        """DELETE of an item, and of its file."""
        reply = await super().delete(request)
        await self.services.media.forget(request.account_id, request.arguments["id"])
        return reply

    async def upload(self, request: Request) -> Reply:
        """POST …/raw: the file, as it is, in base64 or as a part."""
        self.check_write(request, request.arguments["id"])
        document = await self.document(request)
        upload = request.upload
        if upload is None or not upload.content:
            raise field_fault("file", "required", "please provide a media file", value="file")
        if len(upload.content) > FILE_MAX_BYTES:
            raise field_fault("file", "maxSize", f"more than {FILE_MAX_BYTES} bytes", target=FILE_MAX_BYTES)
        kind = described(upload.content_type, upload.name)
        if kind is None:
            text = f"cannot play {upload.content_type[:100] or 'this'}"
            raise ApiError(415, "unsupported_media_type", {"message": text, "cause": list(CONTENT_TYPES)})
        try:
            changed = await self.services.media.upload(document, upload.content, kind.content_type)
        except MediaUnreadable as error:
            raise field_fault("file", "invalid", str(error)) from None
        return document_reply(changed)

    async def download(self, request: Request) -> Reply:
        """GET …/raw: the file as it was uploaded."""
        document = await self.document(request)
        content = await self.services.media.content(document)
        kind = str(document.data.get("content_type", "application/octet-stream"))
        end = CONTENT_TYPES.get(kind, "bin")
        disposition = f'attachment; filename="{document.id}.{end}"'.encode()
        headers = ((b"content-disposition", disposition), (b"x-content-type-options", b"nosniff"))
        kind = kind if kind in CONTENT_TYPES else "application/octet-stream"
        return Reply(body=content, content_type=kind, headers=headers)

    async def shown(self, request: Request, document: Document) -> Json:
        """Say whether there is something to play."""
        data = await super().shown(request, document)
        return {**data, "_read_only": {"has_content": is_uploaded(document)}}

    def routes(self) -> list[Route]:
        """Return the routes of documents and files."""
        raw = f"{ACCOUNT_ITEM}/media/{{id}}/raw"
        return [
            *super().routes(),
            Route(raw, {"GET": self.download, "POST": self.upload}, takes_files=True),
        ]
