-- Since when no rule keeps a backup, and the runs that deleted some, in the order in which they began; `backups` as JSON.
ALTER TABLE backup ADD COLUMN let_go TEXT;

CREATE TABLE pruning (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    at TEXT NOT NULL,
    state TEXT NOT NULL,
    backups TEXT NOT NULL,
    freed INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX pruning_app ON pruning (app, number);
