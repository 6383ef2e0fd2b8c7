"""The API described for programs (`/openapi.json`) and for people (`/docs`), from the route table itself."""

from .document import openapi, openapi_bytes
from .pages import Documentation

__all__ = ["Documentation", "openapi", "openapi_bytes"]
