-- What reading a repository on its store came to; share 0 is all of it, and k is the k-th of `shares`.
CREATE TABLE verification (
    number INTEGER PRIMARY KEY,
    app TEXT NOT NULL,
    slice TEXT NOT NULL,
    at TEXT NOT NULL,
    share INTEGER NOT NULL,
    sound INTEGER NOT NULL,
    paged INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    touched TEXT NOT NULL DEFAULT '[]'
) STRICT;

CREATE INDEX verification_app ON verification (app, number);
