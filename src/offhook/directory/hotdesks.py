"""Whose phone a device is: its owner's, and that of the users who are logged in at it."""

from .model import Document, Json


def hotdesked(device: Document) -> Json:
    """Return `hotdesk.users` of a device: user id → whatever the client stores there."""
    hotdesk = device.data.get("hotdesk")
    users = hotdesk.get("users") if isinstance(hotdesk, dict) else None
    return users if isinstance(users, dict) else {}


def users_of(device: Document) -> list[str]:
    """Return the ids of the users whose phone it is, the owner first, each once."""
    ids = dict.fromkeys((device.data.get("owner_id"), *hotdesked(device)))
    return [user_id for user_id in ids if user_id and isinstance(user_id, str)]
