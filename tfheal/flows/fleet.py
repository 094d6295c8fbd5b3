"""One question to many slices at once: bounded, within a deadline, and no slice fails the others."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from tfheal.base.errors import NotChecked, TfhealError
from tfheal.model.inventory import Slice

T = TypeVar("T")

_FOREVER: Final = 10_000_000.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many slices are asked at once, and after how many seconds the round ends; None is never."""

    together: int = 32
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class _Crash:
    """Something that is nobody's answer but a bug, carried from the thread that met it."""

    error: BaseException


def ask_all(
    slices: Sequence[Slice],
    question: Callable[[Slice], T],
    limits: Limits | None = None,
    answered: Callable[[str, T | TfhealError], None] | None = None,
) -> dict[str, T | TfhealError]:
    """Given slices and a question, return each one's answer or error by name, in the order of the slices.

    `answered` is told each answer as it comes, in the caller's thread. What has no answer when the deadline passes is
    NotChecked; its thread is left behind, and ends when its connection does. Any other exception ends the round.
    """
    limits = limits or Limits()
    waiting = deque(slices)
    replies: queue.SimpleQueue[tuple[str, T | TfhealError | _Crash]] = queue.SimpleQueue()
    for _ in range(min(limits.together, len(slices))):
        threading.Thread(target=_work, args=(waiting, question, replies), daemon=True).start()
    try:
        answers = _collected(len(slices), replies, limits, answered)
    finally:
        waiting.clear()  # also on Ctrl-C: nothing new is begun
    return {one.name: answers[one.name] if one.name in answers else _not_checked(one, limits) for one in slices}


def _work(
    waiting: "deque[Slice]",
    question: Callable[[Slice], T],
    replies: "queue.SimpleQueue[tuple[str, T | TfhealError | _Crash]]",
) -> None:
    while True:
        try:
            target = waiting.popleft()
        except IndexError:
            return
        replies.put((target.name, _answer(question, target)))


def _answer(question: Callable[[Slice], T], target: Slice) -> T | TfhealError | _Crash:
    try:
        return question(target)
    except TfhealError as error:
        return error
    except BaseException as error:  # noqa: BLE001 - a bug is raised again where somebody sees it
        return _Crash(error)


def _collected(
    count: int,
    replies: "queue.SimpleQueue[tuple[str, T | TfhealError | _Crash]]",
    limits: Limits,
    answered: Callable[[str, T | TfhealError], None] | None,
) -> dict[str, T | TfhealError]:
    answers: dict[str, T | TfhealError] = {}
    end = time.monotonic() + (_FOREVER if limits.deadline is None else limits.deadline)
    while len(answers) < count:
        try:
            name, reply = replies.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        if isinstance(reply, _Crash):
            raise reply.error
        answers[name] = reply
        if answered is not None:
            answered(name, reply)
    return answers


def _not_checked(target: Slice, limits: Limits) -> NotChecked:
    return NotChecked("not checked", where=target.name, why=f"the round ended after {limits.deadline:g} s")
