"""Whether a version fails more than the one before is told from counts: never from few, never by chance, and not where both fail."""

import pytest

from tfheal.core.traffic import SURE, SURE_AT_ONCE, Rate, Tally, by_chance, verdict
from tfheal.model.draining import Backend
from tfheal.model.release import InstanceName

EDGE, OTHER = InstanceName("edge", "gateway", "s3"), InstanceName("edge", "gateway", "s4")
NEW, OLD = InstanceName("page", "web", "s1"), InstanceName("page", "web", "s2")


@pytest.mark.parametrize(
    ("new", "old", "found"),
    [
        ((0, 0), (0, 0), "few"),
        ((0, 0), (5_000, 0), "few"),
        ((99, 99), (5_000, 0), "few"),
        ((100, 0), (900, 0), "well"),
        ((100, 1), (900, 0), "well"),
        ((100, 2), (900, 0), "worse"),
        ((100, 2), (100, 0), "unsure"),
        ((100, 5), (100, 0), "unsure"),
        ((200, 10), (200, 0), "worse"),
        ((1_000, 50), (1_000, 0), "worse"),
        ((1_000, 50), (1_000, 50), "well"),
        ((1_000, 50), (1_000, 500), "well"),
        ((1_000, 50), (1_000, 38), "unsure"),
        ((100_000, 5_000), (900_000, 30_000), "worse"),
        ((100_000, 900), (900_000, 0), "well"),
        ((100, 100), (99, 0), "worse"),
        ((100, 1), (0, 0), "well"),
        ((100, 100), (0, 0), "worse"),
        ((100, 50), (0, 0), "unsure"),
        ((10**9, 10**9), (10**9, 0), "worse"),
    ],
)
def test_a_version_is_judged(new: tuple[int, int], old: tuple[int, int], found: str) -> None:
    """By more than one percent of its requests, and not by chance; what there is nothing to compare with is left open."""
    assert verdict(Rate(*new), Rate(*old), 0.01) == found


def test_who_looks_often_has_to_be_surer() -> None:
    """What would do at the end is not enough at each look before it."""
    new, old = Rate(100, 3), Rate(900, 0)
    assert verdict(new, old, 0.01, SURE) == "worse"
    assert verdict(new, old, 0.01, SURE_AT_ONCE) == "unsure"
    assert verdict(new, old, 0.05) == "well", "a playbook may bear more"


@pytest.mark.parametrize(
    ("new", "old", "chance"),
    [
        ((1, 1), (1, 0), 0.5),
        ((2, 2), (2, 0), 1 / 6),
        ((10, 3), (10, 0), 0.10526),
        ((3, 3), (1, 1), 1.0),
        ((100, 5), (100, 0), 0.02969),
    ],
)
def test_chance_is_counted_exactly(new: tuple[int, int], old: tuple[int, int], chance: float) -> None:
    """As Fisher's test has it."""
    assert by_chance(Rate(*new), Rate(*old)) == pytest.approx(chance, abs=1e-4)


def seen(answers: int, failures: int = 0, broken: int = 0, **more: object) -> Backend:
    """Return what a gateway says of the instance with the new version."""
    words = {"gateway": EDGE, "instance": NEW, "state": "UP", "sessions": 0, "requests": answers, "errors": broken}
    return Backend(**{**words, "answers": answers, "failures": failures, "process": 1, **more})


@pytest.mark.parametrize(
    ("looks", "rate"),
    [
        ([], Rate()),
        ([[seen(500, 20)]], Rate()),
        ([[seen(500, 20)], [seen(600, 25)]], Rate(100, 5)),
        ([[seen(500, 20)], [seen(600, 25, 3)]], Rate(103, 8)),
        ([[seen(500, 20)], [seen(600, 25)], [seen(40, 2, process=2)]], Rate(140, 7)),
        ([[seen(500, 20)], [seen(700, 30, process=2)], [seen(701, 30, process=2)]], Rate(701, 30)),
        ([[seen(500, 20)], [seen(40, 2)]], Rate(40, 2)),
        ([[seen(500, 20)], [], [seen(510, 20)]], Rate(10, 0)),
        ([[seen(500)], [seen(510), seen(90, gateway=OTHER)], [seen(510), seen(95, 1, gateway=OTHER)]], Rate(15, 1)),
    ],
)
def test_what_came_since_is_counted(looks: list[list[Backend]], rate: Rate) -> None:
    """From the first look on, at each gateway; a gateway that began to count anew loses only what it did not tell."""
    tally = Tally()
    for look in looks:
        tally = tally.seen(look)
    assert tally.of([NEW]) == rate
    assert tally.of([OLD]) == Rate()
