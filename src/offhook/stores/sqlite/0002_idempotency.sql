-- Version 2. Idempotency keys: one row per accepted call that came with one, written with the call itself.

CREATE TABLE idempotency (
    number      INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    fingerprint TEXT NOT NULL,
    call_id     TEXT NOT NULL,
    is_answered INTEGER NOT NULL,
    answer      BLOB NOT NULL,
    expires_at  REAL NOT NULL
) STRICT;

CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
