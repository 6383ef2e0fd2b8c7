"""Which device or carrier a SIP username belongs to, and its password."""

from dataclasses import dataclass

from offhook.directory.keys import INBOUND_USERNAME, SIP_USERNAME

from .ports import Document, Documents, Json


@dataclass(frozen=True, slots=True)
class SipIdentity:
    """A device that may register and call, or a carrier that may only call."""

    device: Document
    """Of a carrier: its resource."""
    username: str
    password: str
    realm: str

    @property
    def is_trunk(self) -> bool:
        """Tell whether it is a carrier."""
        return self.device.type == "resource"


class SipCredentials:
    """Looks devices up by username and realm, carriers by username."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def find(self, realm: str, username: str) -> SipIdentity | None:
        """Return the enabled device or carrier with this SIP username (any case), or None."""
        found = await self._documents.find(SIP_USERNAME, username.lower(), scope=realm.lower())
        if found:
            return _identity(found[0], found[0].data.get("sip") or {}, realm)
        carriers = await self._documents.find(INBOUND_USERNAME, username.lower())
        return _identity(carriers[0], carriers[0].data["inbound"], realm) if carriers else None


def _identity(document: Document, login: Json, realm: str) -> SipIdentity | None:
    password = login.get("password")
    if document.data.get("enabled") is False or not isinstance(password, str) or not password:
        return None
    return SipIdentity(document, str(login.get("username")), password, realm.lower())
