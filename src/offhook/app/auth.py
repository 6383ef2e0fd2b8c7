"""Who is asking, and what they may reach: logins, tokens, the account tree (kazoo-behaviour 3)."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace

from offhook.directory import Document, Json, normal_account_name
from offhook.directory.numbers import normalise
from offhook.kernel import Clock, Random

from .accounts import refuse_closed
from .errors import NotAllowed, WrongCredentials
from .limits import LoginLimiter
from .passwords import DIGESTS, Passwords
from .ports import Store
from .tokens import Claims, Principal, Remembered, TokenSigner


class ExpiredToken(WrongCredentials):
    """The token was good once. Refused even where no token is needed (KAZOO's family B 401)."""

    code = "expired-token"


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh token and whose it is."""

    principal: Principal
    account: Document
    user: Document | None


class Auth:
    """Makes, checks and revokes tokens."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        random: Random,
        secret: str,
        master_account_id: str,
        token_ttl_s: int = 3600,
    ) -> None:
        self.master_account_id = master_account_id
        self.passwords = Passwords(secret)
        self._store = store
        self._clock = clock
        self._random = random
        self._secret = secret.encode()
        self._signer = TokenSigner(self._secret)
        self._token_ttl_s = token_ttl_s
        self._limiter = LoginLimiter()
        self._remembered = Remembered()

    async def user_login(self, data: Json, *, address: str) -> Login:
        """Log a user in by digest. Raises InvalidDocument, WrongCredentials, TooManyRequests."""
        account = await self.selected_account(data)
        name = account.id if account is not None else repr(_selectors(data))[:200]
        method = str(data.get("method", "md5"))
        user = await self._user_by_digest(account, method, str(data["credentials"]), name, address)
        assert account is not None
        self._refuse_closed(account)
        return self._login(account, user, "cb_user_auth")

    async def api_login(self, api_key: str, *, address: str) -> Login | None:
        """Log an account in by its API key; None if nobody has it. Raises as user_login does."""
        now = self._clock.monotonic()
        self._limiter.check("api_key", address, now=now)
        found = await self._store.documents.find("api_key", api_key)
        if not found:
            self._limiter.failed("api_key", address, now=now)
            return None
        self._limiter.succeeded("api_key", address)
        self._refuse_closed(found[0])
        return self._login(found[0], None, "cb_api_auth")

    async def basic(self, header: str, *, address: str) -> Principal | None:
        """Check `Basic base64(account id:md5 digest)`; None if malformed. Raises WrongCredentials."""
        remembered = self._recall(header)
        if remembered is not None:
            return remembered
        account_id, digest = _basic_parts(header)
        if not account_id:
            return None
        generation = self._remembered.generation
        account = await self._store.documents.get(account_id, account_id, type="account")
        user = await self._user_by_digest(account, "md5", digest, account_id, address)
        assert account is not None
        self._refuse_closed(account)
        principal = self._principal(account, user, "cb_basic_auth")
        self._remembered.keep(header, principal, self._clock.monotonic(), generation=generation)
        return principal

    def remembers(self, credentials: str) -> bool:
        """Tell whether these credentials were found good a moment ago."""
        return self._recall(credentials) is not None

    async def check(self, token: str, *, account_header: str = "") -> Principal | None:
        """Return whose token it is, or None if it is none of ours.

        Raises ExpiredToken, InvalidDocument if the account's time is over.
        """
        principal = self._recall(token)
        if principal is None:
            generation = self._remembered.generation
            principal = await self._verified(token)
            if principal is None:
                return None
            self._remembered.keep(token, principal, self._clock.monotonic(), generation=generation)
        if principal.expires_at <= self._clock.epoch():
            raise ExpiredToken
        if account_header and account_header != principal.account_id:
            return None
        return principal

    async def revoke(self, principal: Principal) -> None:
        """End a token before its time."""
        if principal.token_id:
            await self._store.revoked_tokens.revoke(
                principal.token_id, expires_at=principal.expires_at, now=self._clock.epoch()
            )
        self._remembered.drop(principal.token)

    def forget_changed(self, document: Document, before: Document | None) -> None:
        """Check every token anew if an account or user has changed. For DocumentService.observe."""
        if before is not None and document.type in ("account", "user"):
            self._remembered.clear()

    def reaches(self, principal: Principal, account: Document) -> bool:
        """Tell whether a caller may address an account: its own, or one below it."""
        return (
            principal.account_id == account.id
            or principal.is_master
            or principal.account_id in account.private.get("tree", ())
        )

    # --- logins -----------------------------------------------------------------------------------

    async def selected_account(self, data: Json) -> Document | None:
        """Return the account that credentials name: by number, realm or name, in this order."""
        for kind, value in _selectors(data):
            found = await self._store.documents.find(kind, value)
            if found and kind == "account_number":
                account_id = found[0].account_id
                return await self._store.documents.get(account_id, account_id, type="account")
            if found:
                return found[0]
        return None

    async def _user_by_digest(
        self, account: Document | None, method: str, digest: str, name: str, address: str
    ) -> Document:
        """Return the user; takes as long for an unknown account as for a wrong password."""
        now = self._clock.monotonic()
        self._limiter.check(name, address, now=now)
        if method not in DIGESTS:
            raise WrongCredentials
        scope = account.id if account is not None else ""
        stored = await self.passwords.stored_form(scope, method, digest)
        found = await self._store.documents.find("credentials", stored, scope=scope) if account else []
        if not found or found[0].data.get("enabled", True) is False:
            self._limiter.failed(name, address, now=now)
            raise WrongCredentials
        self._limiter.succeeded(name, address)
        return found[0]

    def _refuse_closed(self, account: Document) -> None:
        refuse_closed(account, self._clock.epoch())

    def impersonate(self, principal: Principal, account: Document, user: Document) -> Login:
        """Log in as a user without its password. Raises NotAllowed for all but the master's people."""
        if not (principal.is_master and principal.is_admin):
            raise NotAllowed
        self._refuse_closed(account)
        original = {
            "original_account_id": principal.account_id,
            "original_owner_id": principal.owner_id,
        }
        return self._login(account, user, "cb_user_auth", original)

    async def recovered(self, user: Document) -> Login:
        """Log in a user who holds a link of password recovery. Raises WrongCredentials, InvalidDocument."""
        account = await self._store.documents.get(user.account_id, user.account_id, type="account")
        if account is None or not _is_alive(user):
            raise WrongCredentials
        self._refuse_closed(account)
        return self._login(account, user, "cb_user_auth")

    def token_info(self, principal: Principal) -> Json:
        """Return what a caller's token says, without its signature of the identity."""
        claims = self._signer.claims(principal.token) or {}
        return {name: value for name, value in claims.items() if name != "identity_sig"} | {
            "account_id": principal.account_id,
            "method": principal.method,
        }

    def _login(
        self, account: Document, user: Document | None, method: str, original: Claims | None = None
    ) -> Login:
        principal = self._principal(account, user, method)
        expires_at = int(self._clock.epoch()) + self._token_ttl_s
        claims: Claims = {
            **{name: value for name, value in (original or {}).items() if value},
            "iss": "offhook",
            "account_id": account.id,
            "method": method,
            "exp": expires_at,
            "jti": self._random.hex(32),
            "identity_sig": self._identity(account, user),
        }
        if user is not None:
            claims["owner_id"] = user.id
        token = self._signer.sign(claims)
        principal = replace(principal, token=token, token_id=claims["jti"], expires_at=expires_at)
        return Login(principal, account, user)

    def _principal(self, account: Document, user: Document | None, method: str) -> Principal:
        return Principal(
            account_id=account.id,
            owner_id=user.id if user is not None else "",
            method=method,
            is_admin=user is None or user.data.get("priv_level", "user") == "admin",
            is_master=account.id == self.master_account_id,
            expires_at=self._clock.epoch() + self._token_ttl_s,
        )

    def _identity(self, account: Document, user: Document | None) -> str:
        """Return a signature that changes with the user's password: older tokens die with it."""
        secret = user.private.get("identity", "") if user is not None else ""
        text = f"{account.id}/{user.id if user is not None else ''}/{secret}"
        return hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()[:32]

    # --- tokens -----------------------------------------------------------------------------------

    async def _verified(self, token: str) -> Principal | None:
        claims = self._signer.claims(token)
        if claims is None:
            return None
        account_id, owner_id = str(claims.get("account_id", "")), str(claims.get("owner_id", ""))
        token_id, expires_at = str(claims.get("jti", "")), float(claims.get("exp", 0))
        if expires_at <= self._clock.epoch() or await self._store.revoked_tokens.is_revoked(token_id):
            raise ExpiredToken
        account = await self._store.documents.get(account_id, account_id, type="account")
        user = None
        if account is not None and owner_id:
            user = await self._store.documents.get(account_id, owner_id, type="user")
        if not _is_alive(account) or (owner_id and not _is_alive(user)):
            raise ExpiredToken
        assert account is not None
        self._refuse_closed(account)
        if not hmac.compare_digest(self._identity(account, user), str(claims.get("identity_sig", ""))):
            raise ExpiredToken
        principal = self._principal(account, user, str(claims.get("method", "")))
        return replace(principal, token=token, token_id=token_id, expires_at=expires_at)

    def _recall(self, credentials: str) -> Principal | None:
        return self._remembered.recall(credentials, self._clock.monotonic())


def _selectors(data: Json) -> list[tuple[str, str]]:
    """Return the keys that name an account, in KAZOO's order: phone number, realm, name."""
    realm = data.get("account_realm") or data.get("realm")
    candidates = (
        ("account_number", normalise(str(data["phone_number"])) if "phone_number" in data else None),
        ("realm", realm.lower() if isinstance(realm, str) else None),
        ("account_name", normal_account_name(str(data["account_name"])) if "account_name" in data else None),
    )
    return [(kind, value) for kind, value in candidates if isinstance(value, str) and value]


def _is_alive(document: Document | None) -> bool:
    return document is not None and document.data.get("enabled", True) is not False


def _basic_parts(header: str) -> tuple[str, str]:
    try:
        clear = base64.b64decode(header[6:].strip(), validate=True).decode("ascii")
    except ValueError:
        return "", ""
    account_id, _, digest = clear.partition(":")
    return account_id, digest
