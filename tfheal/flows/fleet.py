"""One question to many slices at once: bounded, within a deadline, and no slice fails or delays the others.

A slice that says nothing keeps nobody waiting: while some do, others are asked beside them, and a round over slices a
third of which is dead takes no longer than it takes the living to answer. What a transport can bear at a time it bounds
itself.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from tfheal.base.errors import NotChecked, TfhealError
from tfheal.model.inventory import Slice

T = TypeVar("T")

_FOREVER: Final = 10_000_000.0
_SILENT: Final = 1.0  # seconds without an answer after which another slice is asked beside one
_LOOK: Final = 0.25  # seconds between looks at who is silent
_MOST: Final = 512  # asked at once, the silent ones included: a thread that waits costs some 50 kB


@dataclass(frozen=True, slots=True)
class Limits:
    """How many slices that answer are asked at once, after how many seconds a round ends, and when the whole run does.

    None is never; `until` is by the monotonic clock.
    """

    together: int = 32
    deadline: float | None = None
    until: float | None = None

    @property
    def over(self) -> bool:
        """Return whether the run is to end: nothing more is begun, and what is under way is not cut."""
        return self.until is not None and time.monotonic() >= self.until

    def ending(self, seconds: float) -> "Limits":
        """Return these limits with an end of the run so many seconds from now."""
        return replace(self, until=time.monotonic() + seconds)

    def end(self) -> float:
        """Return when a round that begins now ends, by the monotonic clock."""
        end = time.monotonic() + (_FOREVER if self.deadline is None else self.deadline)
        return end if self.until is None else min(end, self.until)


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
    crowd = _Crowd(slices, question)
    try:
        answers = _collected(crowd, limits, answered)
    finally:
        crowd.waiting.clear()  # also on Ctrl-C: nothing new is begun
    return {one.name: answers[one.name] if one.name in answers else _not_checked(one, limits) for one in slices}


class _Crowd(Generic[T]):
    """The slices of a round: those that wait to be asked, and the threads that ask the others."""

    def __init__(self, slices: Sequence[Slice], question: Callable[[Slice], T]) -> None:
        self.count = len(slices)
        self.waiting = deque(slices)
        self.replies: queue.SimpleQueue[tuple[str, T | TfhealError | _Crash]] = queue.SimpleQueue()
        self._question = question
        self._threads = 0
        self._begun: dict[str, float] = {}

    def grow(self, together: int) -> None:
        """Have so many slices asked at once, and one more for each that is silent."""
        now = time.monotonic()
        silent = sum(now - begun > _SILENT for begun in tuple(self._begun.values()))
        wanted = min(together + silent, max(together, _MOST)) - self._threads
        for _ in range(min(wanted, len(self.waiting))):
            self._threads += 1
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                target = self.waiting.popleft()
            except IndexError:
                return
            self._begun[target.name] = time.monotonic()
            reply = self._answer(target)
            del self._begun[target.name]
            self.replies.put((target.name, reply))

    def _answer(self, target: Slice) -> "T | TfhealError | _Crash":
        try:
            return self._question(target)
        except TfhealError as error:
            return error
        except BaseException as error:  # noqa: BLE001 - a bug is raised again where somebody sees it
            return _Crash(error)


def _collected(
    crowd: _Crowd[T], limits: Limits, answered: Callable[[str, T | TfhealError], None] | None
) -> dict[str, T | TfhealError]:
    answers: dict[str, T | TfhealError] = {}
    end = limits.end()
    look = 0.0
    while len(answers) < crowd.count:
        now = time.monotonic()
        if now >= end:
            break
        if now >= look:
            crowd.grow(limits.together)
            look = now + _LOOK
        try:
            name, reply = crowd.replies.get(timeout=max(0.0, min(look, end) - now))
        except queue.Empty:
            continue
        if isinstance(reply, _Crash):
            raise reply.error
        answers[name] = reply
        if answered is not None:
            answered(name, reply)
    return answers


def _not_checked(target: Slice, limits: Limits) -> NotChecked:
    why = "the deadline of the run passed" if limits.over else f"the round ended after {limits.deadline:g} s"
    return NotChecked("not checked", where=target.name, why=why)
