-- Version 1. JSON is kept as text in BLOB columns: the bytes are decoded as they are.

CREATE TABLE documents (
    account_id  TEXT NOT NULL,
    id          TEXT NOT NULL,
    type        TEXT NOT NULL,
    data        BLOB NOT NULL,
    private     BLOB NOT NULL,
    revision    TEXT NOT NULL,
    created_at  REAL NOT NULL,
    modified_at REAL NOT NULL,
    deleted     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, id)
) STRICT;

CREATE INDEX documents_by_type ON documents (account_id, type, id) WHERE deleted = 0;

CREATE TABLE document_keys (
    kind        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    value       TEXT NOT NULL,
    account_id  TEXT NOT NULL,
    document_id TEXT NOT NULL,
    is_unique   INTEGER NOT NULL,
    PRIMARY KEY (kind, scope, value, account_id, document_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX document_keys_unique ON document_keys (kind, scope, value) WHERE is_unique = 1;
CREATE INDEX document_keys_by_document ON document_keys (account_id, document_id);

-- `number` grows with time, so that a busy journal is written at its end and not all over the file.
CREATE TABLE calls (
    number           INTEGER PRIMARY KEY,
    call_id          TEXT NOT NULL UNIQUE,
    account_id       TEXT NOT NULL,
    authorizing_id   TEXT NOT NULL,
    accepted_at      REAL NOT NULL,
    plan             BLOB NOT NULL,
    is_final         INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX calls_open ON calls (number) WHERE is_final = 0;

CREATE TABLE journal (
    call_number INTEGER NOT NULL REFERENCES calls (number),
    sequence    INTEGER NOT NULL,
    at          REAL NOT NULL,
    fact        BLOB NOT NULL,
    is_final    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (call_number, sequence)
) STRICT, WITHOUT ROWID;

-- One true outcome: a call cannot have two final entries, whoever writes them.
CREATE UNIQUE INDEX journal_one_final ON journal (call_number) WHERE is_final = 1;

CREATE TABLE history (
    number     INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    button_id  TEXT NOT NULL,
    timestamp  INTEGER NOT NULL,
    data       BLOB NOT NULL
) STRICT;

CREATE INDEX history_by_button ON history (account_id, button_id, timestamp);

CREATE TABLE cdrs (
    number         INTEGER PRIMARY KEY,
    account_id     TEXT NOT NULL,
    id             TEXT NOT NULL,
    timestamp      INTEGER NOT NULL,
    interaction_id TEXT NOT NULL,
    owner_id       TEXT NOT NULL,
    data           BLOB NOT NULL
) STRICT;

CREATE INDEX cdrs_by_time ON cdrs (account_id, timestamp);
CREATE INDEX cdrs_by_owner ON cdrs (account_id, owner_id, timestamp) WHERE owner_id <> '';
CREATE INDEX cdrs_by_interaction ON cdrs (account_id, interaction_id);
CREATE INDEX cdrs_by_id ON cdrs (account_id, id);

CREATE TABLE bindings (
    aor        TEXT NOT NULL,
    contact    TEXT NOT NULL,
    expires_at REAL NOT NULL,
    data       BLOB NOT NULL,
    PRIMARY KEY (aor, contact)
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revoked_tokens (
    token_id   TEXT NOT NULL PRIMARY KEY,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
