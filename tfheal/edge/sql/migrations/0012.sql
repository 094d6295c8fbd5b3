-- Which addresses of an app were published under which name, and by which way; written before it is done,
-- and again when it is.
CREATE TABLE published (
    app TEXT NOT NULL,
    way TEXT NOT NULL,
    host TEXT NOT NULL,
    addresses TEXT NOT NULL,
    done INTEGER NOT NULL CHECK (done IN (0, 1)),
    PRIMARY KEY (app, way, host)
) STRICT;
