-- When a person last said something of a backup, which the newer word of two workspaces wins by; when a drill found it damaged.
ALTER TABLE backup ADD COLUMN said TEXT;
ALTER TABLE backup ADD COLUMN damaged TEXT;
