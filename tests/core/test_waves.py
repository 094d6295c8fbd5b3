"""In which waves a fleet goes: the earlier rings first, by ring or by size; what people mistype is told."""

import pytest

from tfheal.base.errors import UsageError
from tfheal.core.waves import kept, share, waves
from tfheal.model.app import Ring

TEN: dict[str, Ring] = {
    **dict.fromkeys([f"a{number}" for number in range(10)], "rest"),
    "a7": "canary",
    "a3": "early",
    "a4": "early",
}
IN_ORDER = ["a7", "a3", "a4", "a0", "a1", "a2", "a5", "a6", "a8", "a9"]


@pytest.mark.parametrize(
    ("sizes", "lengths"),
    [
        ("", [1, 2, 7]),
        ("1", [1] * 10),
        ("1,10%,rest", [1, 1, 8]),
        ("1,30%", [1, 3, 3, 3]),
        ("3,4", [3, 4, 3]),
        ("1%", [1] * 10),
        ("100%", [10]),
        ("rest", [10]),
        ("50", [10]),
        ("1,2,3,4,5,6", [1, 2, 3, 4]),
    ],
)
def test_waves_have_the_sizes_that_are_asked_for(sizes: str, lengths: list[int]) -> None:
    """Every app is in one wave, and none before one of an earlier ring."""
    cut = waves(TEN, sizes.split(",") if sizes else ())
    assert [len(wave) for wave in cut] == lengths
    assert [app for wave in cut for app in wave] == IN_ORDER


@pytest.mark.parametrize("sizes", ["0%", "-1", "101%", "half", "", "1.5", " 1", "all", "9999999"])
def test_what_is_no_size_is_told(sizes: str) -> None:
    """Before anything is touched."""
    with pytest.raises(UsageError, match="is no number of apps"):
        waves(TEN, ["1", sizes])


@pytest.mark.parametrize(("written", "count"), [("0", 0), ("2", 2), ("25%", 2), ("5%", 0), ("100%", 10)])
def test_a_share_is_a_number_or_a_percentage(written: str, count: int) -> None:
    """Percentages are rounded down."""
    assert share(written, 10, "--max-failures") == count


def test_no_app_means_no_wave() -> None:
    """And nothing that never ends."""
    assert waves({}, ["rest"]) == waves({}) == ()


def test_waves_go_on_as_they_were_begun() -> None:
    """Who is meant no more is left out, who is new comes last."""
    assert kept([["a"], ["b", "c"], ["d"]], ["e", "a", "c", "d"]) == (("a",), ("c",), ("d",), ("e",))
    assert kept([["a"]], ["a"]) == (("a",),)
