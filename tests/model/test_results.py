"""Which exit code a result asks for: the table of the manual, for deploys and removals."""

import pytest

from tfheal.base.exits import Exit
from tfheal.model.plan import InstancePlan
from tfheal.model.release import InstanceName
from tfheal.model.results import AppResult, InstanceOutcome, InstanceResult, Removal, Removed

NAME = InstanceName("shop", "web", "s1")
PLAN = InstancePlan(NAME, "f" * 16, "1", "changed")


@pytest.mark.parametrize(
    ("outcomes", "refused", "code"),
    [
        ((), "", Exit.OK),
        (("unchanged", "changed"), "", Exit.OK),
        (("unchanged", "planned"), "", Exit.FINDINGS),
        (("changed", "unasked"), "", Exit.UNKNOWN),
        (("planned", "unasked"), "", Exit.FINDINGS),
        (("refused", "planned"), "", Exit.REFUSED),
        (("failed", "skipped", "refused"), "", Exit.FAILED),
        (("skipped",), "", Exit.FAILED),
        ((), "another run holds the lease", Exit.REFUSED),
        (("failed",), "no longer placed", Exit.FAILED),
    ],
)
def test_a_deploy(outcomes: tuple[InstanceOutcome, ...], refused: str, code: Exit) -> None:
    """What failed counts most, what could not be asked least."""
    instances = tuple(InstanceResult(PLAN, outcome) for outcome in outcomes)
    assert AppResult("shop", instances, refused=refused).exit == code


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((), Exit.OK),
        (("done",), Exit.OK),
        (("done", "unknown"), Exit.UNKNOWN),
        (("unknown", "refused"), Exit.REFUSED),
        (("done", "failed", "skipped"), Exit.FAILED),
    ],
)
def test_a_removal(outcomes: tuple[str, ...], code: Exit) -> None:
    """What is left because its slice is silent is unknown; what failed, or waits for what failed, has failed."""
    assert Removal("shop", tuple(Removed(NAME, outcome, "", 0.0) for outcome in outcomes)).exit == code
