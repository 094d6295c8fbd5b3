"""Databases that move to another server: where that stands among the steps, and what of it a playbook may write."""

import base64
import re
import subprocess

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
