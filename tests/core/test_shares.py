"""A share of the traffic becomes a weight beside the full weights of the others, and what people write stays data."""

import pytest

from tfheal.core.draining import Point
from tfheal.core.shares import evened, given, weight
from tfheal.model.release import InstanceName

POINT = Point(InstanceName("edge", "gateway", "s3"), InstanceName("page", "web", "s1"))


@pytest.mark.parametrize(
    ("percent", "others", "found"),
    [(10, 1, 11), (20, 1, 25), (50, 1, 100), (10, 9, 100), (1, 1, 1), (50, 3, 256), (1, 2, 2)],
)
def test_a_share_is_a_weight(percent: float, others: int, found: int) -> None:
    """So that it gets that many of a hundred requests; at least one part, at most what HAProxy knows."""
    assert weight(percent, others) == found


def test_what_people_write_stays_a_word() -> None:
    """Whose share it is is data to the scripts."""
    for script in (given(POINT, "a; reboot", 11, 60, "0" * 32), evened(POINT, "a; reboot", "0" * 32)):
        assert "owner='a; reboot'" in script
