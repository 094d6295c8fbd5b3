"""Waiting for data on a machine made anew: what is put there, and what it does where the data is there after all."""

import subprocess
from pathlib import Path

import pytest
from fleets import an_instance, release_of

from tfheal.core import awaiting
from tfheal.core.resources.step import Step
from tfheal.model.release import secret_token
from tfheal.model.resources import Postgres

NAME = an_instance("shop/db@s1")
OWN = (Step("own", ":", ":", None, timeout=1),)


def held(data: str, *, unit: str = "shop-db.service", database: bool = False) -> tuple[Step, ...]:
    """Return the steps of a release with data in a folder, as they are while that is awaited."""
    directory = {"kind": "directory", "path": data, "data": True}
    rows = Postgres(kind="postgres", database="rows", role="rows", password=secret_token("word", 1)).model_dump()
    resources = [directory, rows] if database else [directory]
    return awaiting.held_back(release_of(NAME, resources=resources, unit=unit), OWN)


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script of sh."""
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False)


def test_a_service_is_held_back_last() -> None:
    """Its release is put there as ever in between; a database runs on, since its dumps are restored into its server."""
    assert [step.id for step in held("/srv/data")] == [awaiting.THERE, "own", "held back"]
    database = held("/srv/data", unit="postgresql@17-main.service", database=True)
    assert [step.id for step in database] == [awaiting.THERE, "own"]
    assert "/var/lib/postgresql" in database[0].apply


@pytest.mark.parametrize("there", [True, False])
def test_where_the_data_is_nothing_is_made_anew(tmp_path: Path, *, there: bool) -> None:
    """The first step fails and says what is there; on an empty machine it leaves its mark."""
    data, mark = tmp_path / "it's data", tmp_path / "mark"
    if there:
        data.mkdir()
    apply = held(str(data))[0].apply.replace(awaiting.mark(release_of(NAME)), str(mark))
    done = run(apply)
    assert (done.returncode, mark.exists()) == ((1, False) if there else (0, True)), done
    assert done.stdout == (f"{data} is there\n" if there else "")
