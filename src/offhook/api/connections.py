"""Uvicorn's connections, where ours must be firmer: a peer that takes nothing is cut, and costs no memory."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection whose application may end it at once (`scope["extensions"]["offhook.abort"]`)."""

    def on_message_begin(self) -> None:
        """Begin a request's scope."""
        super().on_message_begin()
        self.scope["extensions"] = {"offhook.abort": self.transport.abort}  # type: ignore[dict-item]
