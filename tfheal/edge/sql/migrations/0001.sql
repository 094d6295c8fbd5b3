-- The journal as it began. Times are RFC 3339 in UTC with microseconds, so that their order as text is their order in
-- time. Words that will grow (verbs, causes, rungs) are not constrained here: the program that writes them is.

CREATE TABLE migration (
    number INTEGER PRIMARY KEY,
    applied TEXT NOT NULL
) STRICT;

CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    started TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    boot TEXT NOT NULL,
    process_started INTEGER NOT NULL,
    ended TEXT,
    exit INTEGER
) STRICT;

CREATE TABLE action (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    run TEXT NOT NULL REFERENCES run (id),
    verb TEXT NOT NULL,
    app TEXT NOT NULL,
    component TEXT,
    slice TEXT NOT NULL,
    incident TEXT,
    why TEXT NOT NULL,
    release TEXT,
    started TEXT NOT NULL,
    ended TEXT,
    outcome TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX action_of_app ON action (app, number);
CREATE INDEX action_of_run ON action (run);
CREATE INDEX action_unfinished ON action (number) WHERE outcome IS NULL;

CREATE TABLE incident (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    component TEXT,
    slice TEXT NOT NULL,
    cause TEXT NOT NULL,
    state TEXT NOT NULL,
    rung TEXT,
    opened TEXT NOT NULL,
    last_seen TEXT NOT NULL,
    healthy_since TEXT,
    closed TEXT,
    paged TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX incident_open ON incident (number) WHERE state <> 'resolved';

CREATE TABLE release (
    id TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    saved TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE deployed (
    app TEXT NOT NULL,
    component TEXT NOT NULL,
    slice TEXT NOT NULL,
    release TEXT NOT NULL,
    version TEXT NOT NULL,
    generation INTEGER NOT NULL,
    phase TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (app, component, slice)
) STRICT, WITHOUT ROWID;

CREATE TABLE health (
    app TEXT NOT NULL,
    component TEXT NOT NULL,
    slice TEXT NOT NULL,
    health TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (app, component, slice)
) STRICT, WITHOUT ROWID;

-- `beat` is the holder's monotonic clock, which every process of one boot shares: a step of the wall clock, or a
-- suspended machine, makes no live holder look silent.
CREATE TABLE lease (
    app TEXT PRIMARY KEY,
    what TEXT NOT NULL,
    run TEXT NOT NULL,
    host TEXT NOT NULL,
    user TEXT NOT NULL,
    pid INTEGER NOT NULL,
    boot TEXT NOT NULL,
    process_started INTEGER NOT NULL,
    since TEXT NOT NULL,
    renewed TEXT NOT NULL,
    beat REAL NOT NULL
) STRICT, WITHOUT ROWID;
