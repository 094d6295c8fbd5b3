"""Two things wrong at once, ten that matter: the cause goes before the symptom, and neither is in the other's way."""

from collections.abc import Callable
from typing import Any

import pytest
from expectations import doubles, judged
from grounds import Ground
from groups import group
from rows import Broken, Row, Scene, played

CASES = doubles()
SERVED_BY = {"files": "s1", "crm": "s2"}


def marked(name: str) -> Any:  # noqa: ANN401 (pytest's own)
    """Return the case of a double fault, in the group of those that share its lab."""
    marks = [pytest.mark.lab, pytest.mark.faults, group(f"two-{CASES[name]['app']}")]
    return pytest.param(name, marks=marks, id=name.replace(" ", "-"))


@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_two_faults_under_load(name: str, grounds: Callable[[str], Ground], noted: Callable[[Row], Any]) -> None:
    """It becomes of both just what is expected, and no acknowledged write is lost."""
    said = CASES[name]
    with noted(Row("two", name, ", ".join(dict.fromkeys(where[1] for where in said["broken"])))) as row:
        ground = grounds(said["app"])
        broken = tuple(Broken(*where) for where in said["broken"])
        played(Scene(ground, SERVED_BY[said["app"]], broken, said["expectation"]), row)
        row.missed += judged(row, said["expectation"])
    assert row.missed == []
