"""The engine in this process: our SIP core, real sockets, a media relay."""

from .engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
