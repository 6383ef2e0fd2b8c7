"""What fits on a page: registrations, settings of the installation, revoked tokens."""

from collections.abc import Sequence
from typing import Final

import apsw

from offhook.app.ports import StoredBinding

from .writer import Writer

SAVE_BINDING: Final = """
INSERT INTO bindings (aor, contact, expires_at, data) VALUES (?, ?, ?, ?)
ON CONFLICT (aor, contact) DO UPDATE SET expires_at = excluded.expires_at, data = excluded.data
"""
REMOVE_BINDING: Final = "DELETE FROM bindings WHERE aor = ? AND contact = ?"
DROP_EXPIRED_BINDINGS: Final = "DELETE FROM bindings WHERE expires_at <= ?"
BINDINGS: Final = "SELECT aor, contact, expires_at, data FROM bindings ORDER BY aor, contact"

SETTING: Final = "SELECT value FROM settings WHERE name = ?"
SET_ONCE: Final = "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
SET: Final = "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)"

REVOKE: Final = "INSERT OR REPLACE INTO revoked_tokens (token_id, expires_at) VALUES (?, ?)"
DROP_EXPIRED_TOKENS: Final = "DELETE FROM revoked_tokens WHERE expires_at <= ?"
IS_REVOKED: Final = "SELECT 1 FROM revoked_tokens WHERE token_id = ?"


class SqliteBindings:
    """The Bindings port."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def save(self, bindings: Sequence[StoredBinding]) -> None:
        """Queue them, each replacing the one with the same aor and contact."""
        rows = [(binding.aor, binding.contact, binding.expires_at, binding.data) for binding in bindings]

        def write(connection: apsw.Connection) -> None:
            connection.executemany(SAVE_BINDING, rows)

        self._writer.post(write)

    def remove(self, aor: str, contact: str) -> None:
        """Queue its removal."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(REMOVE_BINDING, (aor, contact))

        self._writer.post(write)

    async def load(self, now: float) -> Sequence[StoredBinding]:
        """Return those that have not expired, and forget the others."""

        def write(connection: apsw.Connection) -> list[StoredBinding]:
            connection.execute(DROP_EXPIRED_BINDINGS, (now,))
            return [
                StoredBinding(aor=aor, contact=contact, expires_at=expires_at, data=data)
                for aor, contact, expires_at, data in connection.execute(BINDINGS)
            ]

        return await self._writer.run(write)


class SqliteSettings:
    """The Settings port."""

    def __init__(self, writer: Writer, reader: apsw.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def get(self, name: str) -> str | None:
        """Return the stored value."""
        value: str | None = self._reader.execute(SETTING, (name,)).get
        return value

    async def set_once(self, name: str, value: str) -> str:
        """Store durably unless there is one; return what is stored."""

        def write(connection: apsw.Connection) -> str:
            connection.execute(SET_ONCE, (name, value))
            stored: str = connection.execute(SETTING, (name,)).get
            return stored

        return await self._writer.run(write)

    async def set(self, name: str, value: str) -> None:
        """Store durably, replacing what was there."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(SET, (name, value))

        await self._writer.run(write)


class SqliteRevokedTokens:
    """The RevokedTokens port. Expired ones are forgotten whenever another is revoked."""

    def __init__(self, writer: Writer, reader: apsw.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def revoke(self, token_id: str, *, expires_at: float, now: float) -> None:
        """Remember durably until it expires."""

        def write(connection: apsw.Connection) -> None:
            connection.execute(DROP_EXPIRED_TOKENS, (now,))
            connection.execute(REVOKE, (token_id, expires_at))

        await self._writer.run(write)

    async def is_revoked(self, token_id: str) -> bool:
        """Tell whether the token was revoked."""
        return self._reader.execute(IS_REVOKED, (token_id,)).fetchone() is not None
