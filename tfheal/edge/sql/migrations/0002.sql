-- Slices that fall silent, and apps that run elsewhere than their spec says.

-- Since when a slice could not be connected to, and whether its owner had said hands off before.
CREATE TABLE silence (
    slice TEXT PRIMARY KEY,
    since TEXT NOT NULL,
    paused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where an app runs since it was moved, as JSON: the slices of each component, the same as the spec said at that time,
-- and the components that a person placed.
CREATE TABLE placement (
    app TEXT PRIMARY KEY,
    place TEXT NOT NULL,
    spec TEXT NOT NULL,
    pinned TEXT NOT NULL,
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
