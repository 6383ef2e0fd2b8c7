"""Which device a SIP username belongs to, and its password."""

from dataclasses import dataclass

from offhook.directory.keys import SIP_USERNAME

from .ports import Document, Documents


@dataclass(frozen=True, slots=True)
class SipIdentity:
    """A device that may register."""

    device: Document
    username: str
    password: str
    realm: str


class SipCredentials:
    """Looks devices up by username and realm."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def find(self, realm: str, username: str) -> SipIdentity | None:
        """Return the enabled device with this SIP username (any case), or None."""
        found = await self._documents.find(SIP_USERNAME, username.lower(), scope=realm.lower())
        if not found:
            return None
        device = found[0]
        sip = device.data.get("sip") or {}
        password = sip.get("password")
        if device.data.get("enabled") is False or not isinstance(password, str) or not password:
            return None
        return SipIdentity(device, str(sip.get("username")), password, realm.lower())
