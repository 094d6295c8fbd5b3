"""`init`, `validate`, `schema` and `explain` as a user and as a script meet them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from workspaces import VALID, write_workspace

from tfheal.cli.main import run

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the age key of this test to itself."""
    path = tmp_path / "keys" / "age.key"
    monkeypatch.setenv("TFHEAL_AGE_KEY_FILE", str(path))
    monkeypatch.delenv("TFHEAL_WORKSPACE", raising=False)
    return path


def test_init_makes_a_valid_workspace(tmp_path: Path, key: Path, capsys: Output) -> None:
    """A new folder gets every file, says what was made and what next, and is valid at once."""
    folder = tmp_path / "new" / "work"
    assert run(["init", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for said in ("tfheal.toml", "inventory.toml", "known_hosts", ".gitignore", str(key), "tfheal slice add"):
        assert said in out
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore", "apps", "inventory.toml", "known_hosts", "playbooks", "secrets", "tfheal.toml",
    ]  # fmt: skip
    assert ".tfheal/" in (folder / ".gitignore").read_text().splitlines()
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(["validate", "--workspace", str(folder)]) == 0
    assert capsys.readouterr().out == "valid: 0 owners, 0 slices, 0 apps, 0 playbooks\n"


def test_init_never_overwrites(tmp_path: Path, key: Path, capsys: Output) -> None:
    """What is there stays as it is, byte for byte, and is told; what is missing is made."""
    root = write_workspace(tmp_path / "work")
    key.parent.mkdir()
    key.write_text("mine")
    assert run(["init", str(root), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "tfheal/init/1"
    assert document["exit"] == 0
    assert document["made"] == ["known_hosts", ".gitignore", "secrets"]
    assert document["kept"] == ["tfheal.toml", "inventory.toml", "apps", "playbooks"]
    assert key.read_text() == "mine"
    for name, text in VALID.items():
        assert (root / name).read_text() == text


def test_init_where_it_cannot(tmp_path: Path, capsys: Output) -> None:
    """A folder that cannot be made is an error of usage that names it."""
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "work", tmp_path / "file"):
        assert run(["init", str(folder)]) == 2
        assert str(folder) in capsys.readouterr().err


def test_validate_tells_every_mistake_with_its_place(tmp_path: Path, capsys: Output) -> None:
    """Mistakes go to stderr, one a line, as editors and terminals find files; the code is 2."""
    spoilt = {"tfheal.toml": "nam = 1\n", "apps/site.yaml": VALID["apps/site.yaml"].replace("[a1]", "[a9]")}
    root = write_workspace(tmp_path / "work", spoilt)
    assert run(["validate", "--workspace", str(root)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "tfheal.toml:1:1: nam: is not a known key (did you mean name?)" in err
    assert "apps/site.yaml:5:14: place.db[0]: is a9, which is not in inventory.toml (there are a1, a2, a3, b1)" in err


def test_validate_for_scripts(tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json there is one document on stdout, of a valid workspace and of one with mistakes."""
    root = write_workspace(tmp_path / "work")
    monkeypatch.chdir(root / "apps")
    assert run(["validate", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop("at")
    assert document == {
        "schema": "tfheal/validate/1", "exit": 0, "workspace": str(root), "owners": ["acme", "bob"],
        "slices": ["a1", "a2", "a3", "b1"], "apps": ["site"], "playbooks": ["demo"], "mistakes": [],
    }  # fmt: skip
    (root / "tfheal.toml").write_text("nam = 1\n")
    assert run(["validate", "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert document["schema"] == "tfheal/validate/1"
    assert document["exit"] == 2
    (mistake,) = document["error"]["mistakes"]
    assert (mistake["file"], mistake["line"], mistake["column"], mistake["key"]) == ("tfheal.toml", 1, 1, "nam")


@pytest.mark.parametrize(
    ("resource", "good", "told"),
    [
        ('{kind: firewall, allow: [{port: 1, peers: ["{{ settings.title }}"]}]}', "'::1'", "Hello"),
        (
            '{kind: file, path: "{{ settings.title }}/x", content: x}',
            "/srv",
            'gives the playbook demo a value that cannot be used: path would be "Hello/x" (look at its settings)',
        ),
        (
            '{kind: file, path: /x, content: "{{ peers[settings.title] | join }}"}',
            "web",
            "playbooks/demo/playbook.yaml, component web, line 1: uses Hello, which is not defined",
        ),
    ],
    ids=["step", "value", "template"],
)
def test_validate_makes_each_release_once(tmp_path: Path, capsys: Output, resource: str, good: str, told: str) -> None:
    """A value of an app that only shows when its releases are made is found before anything is deployed."""
    title = f"title: {{choices: [{good}, Hello], default: {good}, description: x}}"
    old = 'title: {description: shown on top, pattern: "[A-Z][a-z]*", default: Demo}'
    spoilt = VALID["playbooks/demo/playbook.yaml"].replace("{kind: venv}", resource).replace(old, title)
    root = write_workspace(tmp_path / "work", {"playbooks/demo/playbook.yaml": spoilt})
    assert run(["validate", "--workspace", str(root)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("apps/site.yaml:1:1:")
    assert told in err


def test_without_a_workspace_it_says_how_to_make_one(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outside of a workspace the error names `tfheal init`."""
    monkeypatch.chdir(tmp_path)
    assert run(["validate"]) == 2
    assert "tfheal init" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["app", "playbook", "inventory", "workspace"])
def test_schema_prints_json(file: str, capsys: Output) -> None:
    """The schema is one JSON document that an editor can be pointed at."""
    assert run(["schema", file]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == f"urn:tfheal:schema:{file}:1"


def test_schema_and_explain_know_the_nearest_word(capsys: Output) -> None:
    """A slip is answered with what was meant, and code 2."""
    assert run(["schema", "apps"]) == 2
    assert "did you mean app?" in capsys.readouterr().err
    assert run(["explain", "fierwall"]) == 2
    assert "did you mean firewall?" in capsys.readouterr().err


def test_explain(capsys: Output) -> None:
    """A topic is a page on stdout; without one the topics are listed."""
    assert run(["explain"]) == 0
    assert "exit-codes" in capsys.readouterr().out
    assert run(["explain", "app"]) == 0
    assert "place:" in capsys.readouterr().out


def test_a_pipe_that_closes_early_is_no_error() -> None:
    """`tfheal explain playbook | head -1` ends in silence."""
    command = f"{sys.executable} -m tfheal explain playbook | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
