"""Every fault that the lab can put in, on every instance of both examples, under load: the rows of the fault table."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from catalogue import in_the_lab
from expectations import expected, judged
from grounds import TARGETS, Ground
from groups import one_of
from rows import Broken, Row, Scene, played

IN_CI = {("kill-service", "files/web"), ("corrupt-config", "files/web")}


def cases() -> Iterator[Any]:
    """Yield every fault on every target, but those that cannot be there."""
    for target in TARGETS:
        for number, kind in enumerate(in_the_lab().values()):
            said = expected(kind.name, target)
            if said and said.absent:
                continue
            marks = [pytest.mark.lab, one_of(target.replace("/", "-"), number)]
            if (kind.name, target) not in IN_CI:
                marks.append(pytest.mark.faults)
            app = target if kind.of_app else ""
            yield pytest.param(kind.name, app, target, marks=marks, id=f"{kind.name}-{target.replace('/', '-')}")


@pytest.mark.parametrize(("fault", "app", "target"), list(cases()))
def test_a_fault_under_load(
    fault: str, app: str, target: str, grounds: Callable[[str], Ground], noted: Callable[[Row], Any]
) -> None:
    """It becomes of the fault just what is expected, and no acknowledged write is lost."""
    where = TARGETS[target]
    with noted(Row("each", fault, target)) as row:
        said = expected(fault, target)
        assert said is not None, f"expected.yaml does not say what is to become of {fault}"
        ground = grounds(where.app)
        played(Scene(ground, where.served_by, (Broken(fault, where.slice, app),), said), row)
        row.missed += judged(row, said)
    assert row.missed == []
