"""Exit codes are a contract: their numbers, and which of several wins."""

from itertools import combinations

import pytest

from tfheal.base.exits import PRECEDENCE, Exit, winning

TABLE = (130, 143, 1, 2, 5, 7, 6, 3, 4, 0)  # as the manual has it, the highest first


def test_the_table_is_the_contract() -> None:
    """Every code has its number and its rank."""
    assert tuple(code.value for code in PRECEDENCE) == TABLE
    assert set(PRECEDENCE) == set(Exit)


@pytest.mark.parametrize(("one", "other"), list(combinations(PRECEDENCE, 2)), ids=lambda code: code.name)
def test_the_higher_one_wins(one: Exit, other: Exit) -> None:
    """Of any two the one that stands higher, in whatever order they come."""
    assert winning([one, other]) == winning([other, one, other]) == one


def test_nothing_is_fine() -> None:
    """No code at all is OK."""
    assert winning([]) == Exit.OK
