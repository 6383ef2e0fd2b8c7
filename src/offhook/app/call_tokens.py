"""A visitor's key to one call: signed, bound to account and call, good until a day after the call's end."""

import hashlib
from dataclasses import dataclass
from typing import Final

from offhook.calls.model import CallPlan
from offhook.kernel import Clock

from .tokens import TokenSigner

AFTER_THE_CALL_S: Final = 86_400
"""How long a page may still ask how the call ended. Added to the longest a call can last."""

KIND: Final = "call"


@dataclass(frozen=True, slots=True)
class CallPass:
    """What a call token opens."""

    account_id: str
    call_id: str
    sees_request: bool
    """The button says `expose_request`: its visitors see what the account sees."""
    expires_at: float
    """Unix seconds."""

    def opens(self, account_id: str, call_id: str) -> bool:
        """Tell whether it is for this call."""
        return (self.account_id, self.call_id) == (account_id, call_id)


class CallTokens:
    """Writes and reads call tokens.

    They are signed with a key of their own: no login token is one, and none of them is a login token.
    """

    def __init__(self, secret: str, *, clock: Clock) -> None:
        self._signer = TokenSigner(hashlib.sha256(b"call-tokens/" + secret.encode()).digest())
        self._clock = clock

    def issue(self, plan: CallPlan, *, sees_request: bool) -> str:
        """Return the token for a call that was just accepted."""
        ring_s = sum(step.timeout_s for party in (plan.first, plan.second) for step in party.steps)
        expires_at = int(self._clock.epoch() + ring_s + plan.max_duration_s) + AFTER_THE_CALL_S
        claims = {"iss": "offhook", "kind": KIND, "account_id": plan.account_id, "call_id": plan.call_id}
        return self._signer.sign(claims | {"sees_request": sees_request, "exp": expires_at})

    def read(self, token: str) -> CallPass | None:
        """Return what a token opens, expired or not; None if it is no call token of ours."""
        claims = self._signer.claims(token)
        if claims is None or claims.get("kind") != KIND:
            return None
        return CallPass(
            account_id=str(claims.get("account_id", "")),
            call_id=str(claims.get("call_id", "")),
            sees_request=claims.get("sees_request") is True,
            expires_at=float(claims.get("exp", 0)),
        )

    def is_expired(self, found: CallPass) -> bool:
        """Tell whether its time is over."""
        return found.expires_at <= self._clock.epoch()
