-- Pauses, and who took an incident upon themselves. A lifted pause stays until its end, so that a file of it that is
-- left on a slice is known for what it is.

CREATE TABLE pause (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    lifted TEXT
) STRICT;

CREATE INDEX pause_until ON pause (until);

ALTER TABLE incident ADD COLUMN acked TEXT;
ALTER TABLE incident ADD COLUMN acked_by TEXT NOT NULL DEFAULT '';
