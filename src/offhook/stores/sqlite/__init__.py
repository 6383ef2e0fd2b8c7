"""Storage ports over SQLite: apsw, WAL, one writer thread with group commit."""

from .connections import SCHEMA_VERSION, SchemaTooNew
from .store import SqliteStore

__all__ = ["SCHEMA_VERSION", "SchemaTooNew", "SqliteStore"]
