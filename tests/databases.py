"""An app with a database whose changes are stored, for tests of flows."""

from typing import Final

SPEC: Final = """\
app: rows
owner: acme
playbook: rows
version: "1"
place: {db: [a1]}
backup: {to: a2}
"""
_PLAYBOOK: Final = """\
playbook: rows
title: Rows
versions: {"1": lock.txt}
secrets:
  word: {description: the password of the database}
components:
  db:
    resources:
      - {kind: postgres, database: rows, role: rows, password: "{{ secrets.word }}"}
    dumps: [{name: rows, postgres: rows, wal: true}]
    packages: [postgresql-17]
    unit: postgresql@17-main.service
    checks: [{name: up, kind: alive, tcp: 5432}]
"""
PARTS: Final = ("db/rows", "db/17-main")
FILES: Final = {"playbooks/rows/playbook.yaml": _PLAYBOOK, "playbooks/rows/lock.txt": "# none\n"}
