"""Components in stages: each after all that it needs, and a circle is named as it runs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfheal.core.order import stages


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, []),
        ({"a": []}, [("a",)]),
        ({"web": ["db"], "db": []}, [("db",), ("web",)]),
        ({"b": [], "a": []}, [("a", "b")]),
        ({"web": ["api", "db"], "api": ["db"], "db": [], "mail": []}, [("db", "mail"), ("api",), ("web",)]),
        ({"web": ["elsewhere"]}, [("web",)]),
    ],
)
def test_what_is_needed_comes_first(needs: dict[str, list[str]], expected: list[tuple[str, ...]]) -> None:
    """Those without an order between them come together, by name; what is not among them is nobody's concern."""
    assert stages(needs) == expected


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        ({"a": ["a"]}, "a needs a"),
        ({"a": ["b"], "b": ["a"]}, "a needs b needs a"),
        ({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}, "a needs b needs c needs a"),
    ],
)
def test_a_circle_is_told_as_it_runs(needs: dict[str, list[str]], told: str) -> None:
    """Each word is followed by what it needs, wherever the circle is entered."""
    with pytest.raises(ValueError, match="needs") as caught:
        stages(needs)
    words = str(caught.value).split(" needs ")
    assert len(words) == len(told.split(" needs "))
    assert all(after in needs[before] for before, after in pairwise(words))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sets(st.sampled_from("abcdefgh")), max_size=8))
def test_any_needs_are_in_order_or_a_circle(needs: dict[str, set[str]]) -> None:
    """Every component comes once, and after all that it needs."""
    try:
        found = stages(needs)
    except ValueError:
        return
    place = {name: number for number, stage in enumerate(found) for name in stage}
    assert sorted(place) == sorted(needs)
    assert sum(len(stage) for stage in found) == len(needs)
    assert all(place[need] < place[name] for name, wanted in needs.items() for need in wanted if need in place)
