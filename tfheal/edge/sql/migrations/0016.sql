-- Whether people may have used the new version, and how many requests failed at the one before: who goes on needs both.
ALTER TABLE upgrade ADD COLUMN served INTEGER NOT NULL DEFAULT 0 CHECK (served IN (0, 1));
ALTER TABLE upgrade ADD COLUMN usual_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE upgrade ADD COLUMN usual_failed INTEGER NOT NULL DEFAULT 0;
