-- Upgrades of many apps, with their waves and how each app ended so far; unfinished ones are gone on with.
CREATE TABLE rollout (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    playbook TEXT NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    started TEXT NOT NULL,
    waves TEXT NOT NULL,
    outcomes TEXT NOT NULL,
    rests TEXT,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX rollout_playbook ON rollout (playbook, number);
