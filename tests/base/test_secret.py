"""A secret shows itself to `reveal` and to nothing else."""

import copy
import json
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfheal.base.secret import MASK, Secret, masked

VALUE = "correct-horse"
SECRET = Secret(VALUE)


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>20}",
        "%s" % SECRET,  # noqa: UP031 (a way in which a secret could be printed)
        repr([SECRET]),
        repr({"a": SECRET}),
        str(ValueError(SECRET)),
    ],
)
def test_it_is_not_shown(shown: str) -> None:
    """However it is printed, it is the mask."""
    assert VALUE not in shown
    assert MASK in shown


def test_it_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a log line nor a traceback holds it."""
    with pytest.raises(ValueError, match=r"\*\*\*") as caught:
        raise ValueError(SECRET)
    logging.getLogger("test").error("it failed with %s", SECRET, exc_info=caught.value)
    assert VALUE not in "".join(traceback.format_exception(caught.value))
    assert VALUE not in caplog.text


@pytest.mark.parametrize(
    "way", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, dict, list], ids=lambda way: way.__name__
)
def test_it_is_not_serialised(way: object) -> None:
    """It cannot be written anywhere as a part of something else."""
    with pytest.raises(TypeError):
        way(SECRET)  # type: ignore[operator]


def test_it_is_its_value_to_who_may_see_it() -> None:
    """It reveals, compares and hashes as what it holds, and holds no more than that."""
    assert SECRET.reveal() == VALUE
    assert Secret(VALUE) == SECRET
    assert Secret("other") != SECRET
    assert SECRET != VALUE
    assert len({SECRET, Secret(VALUE)}) == 1
    assert not hasattr(SECRET, "__dict__")


@pytest.mark.parametrize(
    ("text", "values", "shown"),
    [
        ("a hush b", ["hush"], "a *** b"),
        ("hushhush", ["hush"], "******"),
        ("nothing", ["", "hush"], "nothing"),
        ("long-and-more", ["long", "long-and-more"], "***"),
        ("bca", ["bc", "abc", "ca"], "***a"),
        ("", ["hush"], ""),
    ],
)
def test_values_are_masked_in_foreign_text(text: str, values: list[str], shown: str) -> None:
    """Each value goes, the longest first, so that a part of one does not leave the rest to be read."""
    assert masked(text, values) == shown


@given(words=st.lists(st.text("ab", min_size=4, max_size=8), min_size=1, max_size=3), rest=st.text("ab ", max_size=30))
def test_no_value_is_left(words: list[str], rest: str) -> None:
    """Wherever the values stand, none is to be read afterwards."""
    shown = masked(rest + "".join(words) + rest, words)
    assert not [word for word in words if word in shown]
