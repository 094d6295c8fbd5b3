"""Asking many slices: order, bounds, deadline, and what happens when one of them fails."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from build import a_slice

from tfheal.base.errors import ConnectFailed, NotChecked, Unreachable
from tfheal.flows.act import act_everywhere
from tfheal.flows.fleet import Limits, ask_all
from tfheal.model.inventory import Slice


def some(count: int) -> list[Slice]:
    """Return so many slices."""
    return [a_slice(f"s{number}") for number in range(1, count + 1)]


def test_answers_are_in_the_order_of_the_slices() -> None:
    """The first slice comes first, however late it answers."""

    def question(target: Slice) -> str:
        time.sleep(0.05 if target.name == "s1" else 0)
        return target.name.upper()

    assert list(ask_all(some(5), question).items()) == [(f"s{n}", f"S{n}") for n in range(1, 6)]


def test_one_slice_never_fails_the_others() -> None:
    """An error of ours is the answer of its slice."""
    lost = ConnectFailed("gone", where="s2")

    def question(target: Slice) -> int:
        if target.name == "s2":
            raise lost
        return 1

    assert ask_all(some(3), question) == {"s1": 1, "s2": lost, "s3": 1}


def test_nothing_may_be_an_answer() -> None:
    """None is an answer and not a missing one; no slices is no answers."""
    assert ask_all(some(2), lambda _: None) == {"s1": None, "s2": None}
    assert ask_all([], lambda _: None) == {}


def test_no_more_are_asked_at_once_than_permitted() -> None:
    """The bound is reached and not exceeded."""
    lock, now, most = threading.Lock(), [0], [0]

    def question(_: Slice) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    ask_all(some(30), question, Limits(together=4))
    assert most == [4]


def test_what_has_no_answer_at_the_deadline_is_not_checked() -> None:
    """A slice that hangs, and those that wait behind it, are reported as not checked; the rest has answers."""
    release = threading.Event()

    def question(target: Slice) -> bool:
        return target.name != "s2" or release.wait(5)

    begun = time.monotonic()
    replies = ask_all(some(3), question, Limits(together=2, deadline=0.3))
    release.set()
    assert time.monotonic() - begun < 2
    assert (replies["s1"], replies["s3"]) == (True, True)
    assert isinstance(replies["s2"], NotChecked)
    assert isinstance(replies["s2"], Unreachable)
    assert "0.3 s" in str(replies["s2"])


def test_silent_slices_keep_nobody_waiting() -> None:
    """More slices say nothing than are asked at once, and yet all others have answers long before these give up."""
    release, dead = threading.Event(), {"s1", "s2", "s3"}

    def question(target: Slice) -> bool:
        return target.name not in dead or release.wait(30)

    begun = time.monotonic()
    replies = ask_all(some(40), question, Limits(together=2, deadline=3.0))
    release.set()
    assert time.monotonic() - begun < 5
    assert {name for name, reply in replies.items() if isinstance(reply, NotChecked)} == dead


def test_bug_is_raised_and_ends_the_round() -> None:
    """What is no error of ours is nobody's answer."""
    asked: list[str] = []

    def question(target: Slice) -> None:
        asked.append(target.name)
        if target.name == "s1":
            msg = "a bug"
            raise ZeroDivisionError(msg)
        time.sleep(0.05)

    with pytest.raises(ZeroDivisionError):
        ask_all(some(50), question, Limits(together=2))
    assert len(asked) < 5


def test_answers_are_told_as_they_come_in_the_callers_thread() -> None:
    """A progress bar needs no lock."""
    told: list[tuple[str, object, bool]] = []
    here = threading.current_thread()
    ask_all(some(3), lambda one: one.name, None, lambda n, a: told.append((n, a, threading.current_thread() is here)))
    assert sorted(told) == [(f"s{n}", f"s{n}", True) for n in (1, 2, 3)]


def test_interrupt_ends_the_round_at_once() -> None:
    """Ctrl-C waits for no slice, and begins with no further one."""
    asked: list[str] = []
    release = threading.Event()

    def question(target: Slice) -> None:
        asked.append(target.name)
        release.wait(10)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (time.sleep(0.3), os.kill(os.getpid(), signal.SIGINT)))
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ask_all(some(10), question, Limits(together=2))
    assert time.monotonic() - begun < 2
    release.set()
    time.sleep(0.1)
    assert asked == ["s1", "s2"]


def test_the_end_of_a_run_ends_its_rounds_but_cuts_no_action() -> None:
    """Past it a question has no answer; an action that was begun is waited for."""
    limits = Limits(deadline=30.0).ending(0.2)
    assert not limits.over
    release = threading.Event()
    replies = ask_all(some(1), lambda _: release.wait(5), limits)
    assert limits.over
    assert "the deadline of the run passed" in str(replies["s1"])
    threading.Timer(0.2, release.set).start()
    assert act_everywhere(some(1), lambda _: release.wait(5), limits) == {"s1": True}
