"""The HTTP edge: KAZOO's v2 API over the use cases of app."""

from .application import create_app
from .services import ApiServices, ApiSettings

__all__ = ["ApiServices", "ApiSettings", "create_app"]
