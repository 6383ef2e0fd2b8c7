"""Documents of the installation: accounts, users, devices, callflows, carriers, buttons. Pure."""

from .model import GLOBAL_ACCOUNT, Document, DocumentKey, Json

__all__ = ["GLOBAL_ACCOUNT", "Document", "DocumentKey", "Json"]
