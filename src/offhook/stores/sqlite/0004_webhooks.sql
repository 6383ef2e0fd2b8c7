-- Version 4. What webhooks have yet to be told, and what became of it.

CREATE TABLE webhook_outbox (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    hook_id    TEXT NOT NULL,
    lane       TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    event      TEXT NOT NULL,
    created_at REAL NOT NULL,
    payload    BLOB NOT NULL
) STRICT;

CREATE UNIQUE INDEX webhook_outbox_by_id ON webhook_outbox (hook_id, webhook_id);
CREATE INDEX webhook_outbox_by_lane ON webhook_outbox (hook_id, lane, number);

-- Rows of one lane go out one after the other; the lane says when its first row is to be tried.
CREATE TABLE webhook_lanes (
    hook_id  TEXT NOT NULL,
    lane     TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at  REAL NOT NULL,
    PRIMARY KEY (hook_id, lane)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_lanes_due ON webhook_lanes (hook_id, next_at);

CREATE TABLE webhook_attempts (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL,
    hook_id    TEXT NOT NULL,
    id         TEXT NOT NULL,
    timestamp  INTEGER NOT NULL,
    data       BLOB NOT NULL,
    lane       TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    event      TEXT NOT NULL,
    payload    BLOB NOT NULL
) STRICT;

CREATE INDEX webhook_attempts_by_account ON webhook_attempts (account_id, number);
CREATE INDEX webhook_attempts_by_hook ON webhook_attempts (hook_id, number);
CREATE INDEX webhook_attempts_by_id ON webhook_attempts (hook_id, id);
