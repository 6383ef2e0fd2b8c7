-- Version 5. What the summary of CDRs adds, in the index it reads: a million rows in a second, not in twenty.
-- `class` is "direction classifier by_carrier outcome realm".

ALTER TABLE cdrs ADD COLUMN class TEXT NOT NULL DEFAULT '';
ALTER TABLE cdrs ADD COLUMN duration_s INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cdrs ADD COLUMN billing_s INTEGER NOT NULL DEFAULT 0;

UPDATE cdrs SET (class, duration_s, billing_s) = (SELECT
    coalesce(d ->> '$.call_direction', '') || ' ' || coalesce(d ->> '$.did_classifier', 'unknown') || ' '
    || (coalesce(d ->> '$.custom_channel_vars.resource_id', '') <> '') || ' ' || coalesce(d ->> '$.outcome', '')
    || ' ' || substr(coalesce(d ->> '$.to', ''), instr(coalesce(d ->> '$.to', ''), '@') + 1),
    coalesce(d ->> '$.duration_seconds', 0), coalesce(d ->> '$.billing_seconds', 0)
    FROM (SELECT CAST(cdrs.data AS TEXT) AS d));

DROP INDEX cdrs_by_time;
CREATE INDEX cdrs_by_time ON cdrs (account_id, timestamp, number, class, duration_s, billing_s);
