-- How an upgrade goes on: one instance after the other, or one of them first, as a canary.
ALTER TABLE upgrade ADD COLUMN strategy TEXT NOT NULL DEFAULT 'rolling';
