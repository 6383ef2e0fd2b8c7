"""What our side of a leg is called on the wire: worked out from its id, the same in every process.

A process that finds the plan of a call in the journal can so cancel an INVITE that the process before it
sent a millisecond before it died, without anything having been stored about it.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from offhook.sip.transaction_layer import MAGIC_COOKIE

TAG_HEX: Final = 16
"""64 bits; RFC 3261 19.3 asks for 32."""
BRANCH_HEX: Final = 20
"""80 bits, hidden from everybody but the far end of the leg: nobody forges an answer."""


class LegIdentity(msgspec.Struct, frozen=True):
    """Tag and branches of one leg."""

    tag: str
    branch: str
    """How the branch of each of its INVITEs begins."""

    @property
    def ack_branch(self) -> str:
        """The branch of the ACK that acknowledges its answer."""
        return f"{self.branch}-ack"


class LegIdentities:
    """Identities under a secret of the installation: who does not know it cannot work them out."""

    def __init__(self, secret: str) -> None:
        self._key = blake2b(b"leg identities", key=secret.encode()[:64]).digest()

    def of(self, leg_id: str) -> LegIdentity:
        """Return the identity of a leg."""
        digits = blake2b(leg_id.encode(), key=self._key, digest_size=(TAG_HEX + BRANCH_HEX) // 2).hexdigest()
        return LegIdentity(digits[:TAG_HEX], MAGIC_COOKIE + digits[TAG_HEX:])
