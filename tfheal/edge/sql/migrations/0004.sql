-- How each release did on its instance: proven by its soak, or held after a rollback.

CREATE TABLE standing (
    app TEXT NOT NULL,
    component TEXT NOT NULL,
    slice TEXT NOT NULL,
    release TEXT NOT NULL,
    generation INTEGER NOT NULL,
    healthy_since TEXT,
    good TEXT,
    held TEXT,
    why TEXT NOT NULL,
    PRIMARY KEY (app, component, slice, release)
) STRICT, WITHOUT ROWID;
