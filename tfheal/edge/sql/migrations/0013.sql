-- Since when a playbook was seen to list a version, by the digest of its lock: another lock is another thing.
CREATE TABLE listed (
    playbook TEXT NOT NULL,
    version TEXT NOT NULL,
    lock TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (playbook, version)
) STRICT;
