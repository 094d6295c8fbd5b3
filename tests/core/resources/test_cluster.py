"""Databases that move to another server: where that stands among the steps, and what of it a playbook may write."""

import base64
import re
import struct
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError
from releases import a_release
from shells import SHELLS

from tfheal.base.errors import UsageError
from tfheal.core.resources import cluster, steps
from tfheal.model.release import Release, secret_token
from tfheal.model.resources import Packages, Postgres

SECRETS = {("password", 1): "of-the-role"}


def a_database(name: str = "17/main", *, packages: str = "postgresql-17") -> Release:
    """Return a release with its packages and a database in a cluster."""
    made = {"kind": "postgres", "database": "notes", "role": "notes", "password": secret_token("password", 1)}
    return a_release(
        {"kind": "packages", "names": [packages]}, made | {"cluster": name}, unit="postgresql@17-main.service"
    )


def test_data_is_in_its_cluster_before_a_database_is_made_there() -> None:
    """After the packages that bring the server; an instance without a database has no such step, and no question for room."""
    ids = [step.id for step in steps(a_database(), SECRETS)]
    assert ids == ["packages:postgresql-17", "cluster", "postgres:notes"]
    assert (cluster.step(a_release()), cluster.room(a_release()), cluster.cluster_of(a_release())) == (None, None, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_what_moves_it_is_sh_and_holds_no_secret(shell: tuple[str, ...]) -> None:
    """The work that its own unit runs too, whether something may be lost or not."""
    release = a_database()
    for lose in (False, True):
        step, lost, room = cluster.step(release, lose=lose), cluster.lost(release), cluster.room(release)
        assert step is not None
        assert room is not None
        works = [base64.b64decode(word).decode() for word in re.findall(r"(?<=work=)[A-Za-z0-9+/=]+", step.apply)]
        assert [f"lose={'yes' if lose else 'no'}" in work for work in works] == [True]
        for script in (step.check, step.apply, step.remove or "", lost.apply, room.check, *works):
            assert "of-the-role" not in script
            assert subprocess.run([*shell, "-n"], input=script.encode(), check=False).returncode == 0


@pytest.mark.parametrize("name", ["14/main", "9/main", "17", "17/Main", "17/main; rm", "{{ version }}/main"])
def test_a_cluster_is_one_of_debians(name: str) -> None:
    """Of a version that we know how to read; what a template gave is looked at again."""
    with pytest.raises((UsageError, ValidationError)):
        steps(a_database(name), SECRETS)


def test_versions_may_decide_on_packages_and_clusters() -> None:
    """As written they may be templates; what is still one when a release is made is refused."""
    Packages(kind="packages", names=("postgresql-{{ version }}", "postgresql-{{ version }}-postgis=1"))
    Postgres(
        kind="postgres", cluster="{{ version }}/main", database="a", role="a", password=secret_token("password", 1)
    )
    with pytest.raises(ValidationError):
        Packages(kind="packages", names=("postgresql {{ version }}",))
    with pytest.raises(UsageError, match="not the name of a package"):
        steps(a_database(packages="postgresql-{{ version }}"), SECRETS)


NUMBER = 7_000_000_001
# What is in the data folder of a new cluster, by the number that it had when we made one: ours to throw away, or left of one.
LEFT = [
    ("ours", NUMBER, NUMBER, ("base/5/1247", "base/16384/16390"), "made"),
    ("ours, half thrown away", NUMBER, None, ("base/16384/16390",), "made"),
    ("as the package makes it", None, NUMBER, ("PG_VERSION", "base/5/1247_fsm", "postmaster.opts"), "stump"),
    ("half made", None, None, ("PG_VERSION", "pg_wal/0", "base/1/1247.1", "postgresql.conf"), "stump"),
    ("of somebody, with a database", None, NUMBER, ("base/16384/1247",), ""),
    ("of somebody, with a table", 5, NUMBER, ("base/5/16384_fsm",), ""),
    ("of somebody, with a table space", 5, NUMBER, ("base/5/1247", "pg_tblspc/16384"), ""),
    ("no cluster", None, None, ("PG_VERSION", "notes.txt"), ""),
]


@pytest.mark.parametrize(("kept", "there", "files", "is_what"), [row[1:] for row in LEFT], ids=[row[0] for row in LEFT])
def test_what_a_cut_off_move_left_is_told_from_what_is_somebodys(
    tmp_path: Path, kept: int | None, there: int | None, files: tuple[str, ...], is_what: str
) -> None:
    """A machine may go down while a cluster is made or thrown away: what is left of one keeps no later move from its place, and nobody's data is taken for it."""
    home, settings = tmp_path / "data", tmp_path / "etc/17/main"
    for file in (*(home / name for name in files), settings / "postgresql.conf", tmp_path / "made-cluster"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (settings / "postgresql.conf").write_text(f"data_directory = '{home}'\n")
    (tmp_path / "made-cluster").write_text(f"{kept}\n" if kept else "")
    if there:
        (home / "global").mkdir()
        (home / "global/pg_control").write_bytes(struct.pack("<Q", there))
    given = "".join(
        re.findall(
            r"^(?:(?:value|number)\(\) [^\n]*|(?:made|stump)\(\) \{\n.*?^\})\n", moving(), re.MULTILINE | re.DOTALL
        )
    )
    asks = f'cluster=17/main state={tmp_path}\n{given}made && echo made || {{ stump "{home}" && echo stump; }}\n'
    said = subprocess.run(
        ["sh"], input=asks.replace("/etc/postgresql", f"{tmp_path}/etc"), text=True, capture_output=True, check=False
    )
    assert said.stdout.strip() == is_what, said.stderr


def test_that_a_cluster_is_ours_is_on_the_disk_before_its_data() -> None:
    """Else a power cut leaves a full cluster that nobody knows, and no later move has a place for the data."""
    made = moving().partition("pg_createcluster --start-conf")[2]
    assert 0 < made.index("sync ") < made.index("alone ")


def moving() -> str:
    """Return the work of a move."""
    step = cluster.step(a_database())
    assert step is not None
    (work,) = re.findall(r"(?<=work=)[A-Za-z0-9+/=]+", step.apply)
    return base64.b64decode(work).decode()
