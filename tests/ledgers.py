"""What tests say to the server of the ledger whose changes are stored, and how they see what is."""

SPOOL = "/var/spool/tfheal/ledger-db"
# The servers and timelines of which there are changes: a drill's own server would add one of each.
WRITERS = f"find {SPOOL} -mindepth 1 -name '0*' -printf '%P\\n' | sed 's,/\\(........\\)[^/]*$,/\\1,' | sort -u; ls -A {SPOOL}"
SENT = f"[ -z \"$(find {SPOOL} -mindepth 3 -name '0*' -newer {SPOOL}/.sent)\" ]"
LATER = "echo 'INSERT INTO written SELECT min(id) - 1 FROM written; SELECT pg_switch_wal();' | sql"
MADE = "echo 'CREATE TABLE written (id int PRIMARY KEY); INSERT INTO written VALUES (0)' | sql"
ALL = "echo 'SELECT id FROM written' | sql"
# A client that notes of each row when it was begun and when it was told that it is there.
WRITER = """\
#!/bin/sh
cd /; n=0
while :; do
  n=$((n + 1)); begun=$(date +%s.%N)
  psql -XqAt -d ledger -c "INSERT INTO written VALUES ($n)" || exit 1
  echo "$n $begun $(date +%s.%N)"
done
"""
