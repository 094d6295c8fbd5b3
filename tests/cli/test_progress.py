"""Progress on a terminal never takes from the result: its bars are gone before that is printed."""

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

WORK = """
import time
from tfheal.cli import output
reports = output.Reports()
reports.step("shop/web@s1", "unit", 3, 7)
reports.step("shop/web@s1", "waits")
reports.step("shop/web@s2", "waits too")
time.sleep(0.2)
{gives}
time.sleep(0.3)
reports.close()
"""
GIVES = {
    "tell": "output.tell('deploy', {}, 'first\\nsecond\\nthird', as_json=False)",
    "give": "output.give('deploy', {}, lambda _: 'first\\nsecond\\nthird', as_json=False, code=0)",
    "show": "output.show('first\\nsecond\\nthird')",
}


def on_a_terminal(program: str) -> str:
    """Run a program of which stdout and stderr are one terminal, and return all that it wrote there."""
    ours, its = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "NO_COLOR": "1"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=its, stderr=its, env=env):
        os.close(its)
        wrote = bytearray()
        with suppress(OSError):  # the terminal's other end is closed: the program is over
            while some := os.read(ours, 4096):
                wrote += some
    os.close(ours)
    return wrote.decode()


@pytest.mark.parametrize("way", list(GIVES))
def test_a_result_stands_as_it_was_printed(way: str) -> None:
    """Nothing is drawn over it or after it, while the command lets go of its hands."""
    before, _, after = on_a_terminal(WORK.format(gives=GIVES[way])).partition("first")
    assert "waits too" in before
    assert after.split() == ["second", "third"]


def test_a_bar_counts_what_has_an_end() -> None:
    """What comes after a step of which the end was known shows no count of that step."""
    lines = on_a_terminal(WORK.format(gives=GIVES["tell"])).replace("\r", "\n").splitlines()
    waiting = [line for line in lines if "waits" in line]
    assert waiting
    assert not [line for line in waiting if "/7" in line or "/?" in line]


def test_bars_come_again_after_a_question() -> None:
    """Work that goes on after something was printed shows how far it is."""
    again = WORK.format(gives=GIVES["show"] + "\nreports.step('shop/web@s3', 'goes on')")
    _, _, after = on_a_terminal(again).partition("third")
    assert "goes on" in after
    assert "waits" not in after
