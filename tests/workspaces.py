"""A small valid workspace for tests, and cases that spoil it: files to write, and the mistakes that must be told."""

from pathlib import Path
from typing import Final

from tfheal.base.errors import ConfigError, Mistake
from tfheal.edge.files import WorkspaceFiles

VALID: Final = {
    "tfheal.toml": 'name = "Example"\n',
    "inventory.toml": """\
[owners.acme]
contact = "it@acme.example"
[owners.bob]

[slices.a1]
owner = "acme"
address = "2001:db8::1"
[slices.a2]
owner = "acme"
address = "2001:db8::2"
[slices.a3]
owner = "acme"
address = "2001:db8::3"
[slices.b1]
owner = "bob"
address = "b1.example"
""",
    "apps/site.yaml": """\
app: site
owner: acme
playbook: demo
version: "1.1"
place: {db: [a1], web: [a1, a2]}
settings: {title: Hello}
""",
    "playbooks/demo/playbook.yaml": """\
playbook: demo
title: A demonstration
versions: {"1.0": locks/1.0.txt, "1.1": locks/1.1.txt}
settings:
  title: {description: shown on top, pattern: "[A-Z][a-z]*", default: Demo}
  port: {type: number, minimum: 1, maximum: 65535, default: 8080, description: where it answers}
secrets:
  admin: {description: the password of the admin}
components:
  db:
    packages: [curl]
    service: {exec: "{{ current }}/bin/db"}
    checks: [{name: up, kind: alive, tcp: 5432}]
    data: [{name: data}]
  web:
    needs: [db]
    resources:
      - {kind: venv}
      - {kind: file, path: "{{ config }}/web.conf", template: web.conf.j2, mode: "0640", group: "{{ user }}"}
    service: {exec: "{{ current }}/bin/web"}
    checks:
      - {name: up, kind: alive, http: {url: "http://127.0.0.1:{{ settings.port }}/"}}
""",
    "playbooks/demo/web.conf.j2": """\
title = {{ settings.title }}
password = {{ secrets.admin }}
{% for address in peers.db %}
db = {{ address }}
{% endfor %}
""",
    "playbooks/demo/locks/1.0.txt": "demo==1.0\n",
    "playbooks/demo/locks/1.1.txt": "demo==1.1\n",
}


def write_workspace(root: Path, changes: dict[str, str] | None = None) -> Path:
    """Write the valid workspace with some files changed, and return its folder."""
    for name, text in (VALID | (changes or {})).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def told(mistake: Mistake) -> str:
    """Return a mistake on one line."""
    key = f" {mistake.key}:" if mistake.key else ""
    hint = f" ({mistake.hint})" if mistake.hint else ""
    return f"{mistake.file}:{mistake.line}:{mistake.column}:{key} {mistake.what}{hint}"


def mistakes_of(root: Path) -> list[str]:
    """Return the mistakes of a workspace, each on one line."""
    try:
        WorkspaceFiles(root).load()
    except ConfigError as error:
        return [told(mistake) for mistake in error.mistakes]
    return []


def case(path: Path) -> tuple[dict[str, str], list[str]]:
    """Given the file of a case, return the files that it writes, and the mistakes that it expects.

    A case begins with a sentence on what it shows. `--- PATH` begins a file; `--- PATH: OLD => NEW` is the valid file
    with one text replaced; `--- expect` begins the mistakes.
    """
    files: dict[str, str] = {}
    for part in path.read_text().split("--- ")[1:]:
        head, _, body = part.partition("\n")
        name, _, change = head.partition(": ")
        if change:
            old, _, new = change.partition(" => ")
            before = files.get(name, VALID.get(name, ""))
            assert old in before, f"{path.name}: {old!r} is not in {name}"
            files[name] = before.replace(old, new.replace("\\n", "\n").replace("\\t", "\t"), 1)
        else:
            files[name] = body
    return files, files.pop("expect").splitlines()
