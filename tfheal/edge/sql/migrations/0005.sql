-- The catalogue of backups, in the order in which they began; `received` is when we heard of the end, by our clock.

CREATE TABLE backup (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    store TEXT NOT NULL,
    started TEXT NOT NULL,
    received TEXT,
    state TEXT NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,
    drilled TEXT,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX backup_app ON backup (app);

-- The snapshots of a backup; paths as JSON.
CREATE TABLE backup_part (
    backup TEXT NOT NULL REFERENCES backup (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    slice TEXT NOT NULL,
    what TEXT NOT NULL,
    state TEXT NOT NULL,
    snapshot TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    added INTEGER NOT NULL,
    detail TEXT NOT NULL,
    paths TEXT NOT NULL,
    PRIMARY KEY (backup, position)
) STRICT, WITHOUT ROWID;
