-- Upgrades that were begun; `state` is running until one is done, rolled back, or waits for a human.
CREATE TABLE upgrade (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    app TEXT NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    state TEXT NOT NULL,
    started TEXT NOT NULL,
    backup TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX upgrade_app ON upgrade (app, number);
