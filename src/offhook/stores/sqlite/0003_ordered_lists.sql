-- Version 3. Ordered lists of documents are keys like others: see directory/ordering.py. Documents stored before get
-- theirs here, with ASCII lower case; the next write of each makes it exact.

INSERT OR IGNORE INTO document_keys (kind, scope, value, account_id, document_id, is_unique)
SELECT 'list:' || type, account_id,
    substr(lower(CASE type
        WHEN 'user' THEN trim(coalesce(json_extract(CAST(data AS TEXT), '$.last_name'), '') || ' '
            || coalesce(json_extract(CAST(data AS TEXT), '$.first_name'), ''))
        WHEN 'callflow' THEN coalesce(json_extract(CAST(data AS TEXT), '$.numbers[0]'),
            json_extract(CAST(data AS TEXT), '$.patterns[0]'), json_extract(CAST(data AS TEXT), '$.name'), '')
        ELSE coalesce(json_extract(CAST(data AS TEXT), '$.name'), '') END), 1, 128),
    account_id, id, 0
FROM documents WHERE deleted = 0 AND type <> 'account';

INSERT OR IGNORE INTO document_keys (kind, scope, value, account_id, document_id, is_unique)
SELECT 'list:children', k.value, substr(lower(coalesce(json_extract(CAST(d.data AS TEXT), '$.name'), '')), 1, 128),
    d.account_id, d.id, 0
FROM document_keys k JOIN documents d ON d.account_id = k.account_id AND d.id = k.document_id
WHERE k.kind = 'parent' AND d.type = 'account' AND d.deleted = 0;

INSERT OR IGNORE INTO document_keys (kind, scope, value, account_id, document_id, is_unique)
SELECT 'list:descendants', k.value, substr(lower(coalesce(json_extract(CAST(d.data AS TEXT), '$.name'), '')), 1, 128),
    d.account_id, d.id, 0
FROM document_keys k JOIN documents d ON d.account_id = k.account_id AND d.id = k.document_id
WHERE k.kind = 'ancestor' AND d.type = 'account' AND d.deleted = 0;

INSERT OR IGNORE INTO document_keys (kind, scope, value, account_id, document_id, is_unique)
SELECT 'list:owned_devices', d.account_id || '/' || k.value,
    substr(lower(coalesce(json_extract(CAST(d.data AS TEXT), '$.name'), '')), 1, 128), d.account_id, d.id, 0
FROM document_keys k JOIN documents d ON d.account_id = k.account_id AND d.id = k.document_id
WHERE k.kind = 'owner_id' AND d.type = 'device' AND d.deleted = 0;
