-- Restores for practice, in the order in which they began; steps as JSON.

CREATE TABLE drill (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    backup TEXT NOT NULL,
    at TEXT NOT NULL,
    state TEXT NOT NULL,
    seconds REAL NOT NULL,
    steps TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX drill_app ON drill (app);
