-- When all `consistent` checks of an instance passed last, by the clock of its slice.
CREATE TABLE consistent (
    app TEXT NOT NULL,
    component TEXT NOT NULL,
    slice TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (app, component, slice)
) STRICT;
