-- What the second store of an app has, and how the last copy to it ended.
CREATE TABLE copied (
    app TEXT PRIMARY KEY,
    store TEXT NOT NULL,
    at TEXT NOT NULL,
    reached TEXT,
    detail TEXT NOT NULL
) STRICT;
