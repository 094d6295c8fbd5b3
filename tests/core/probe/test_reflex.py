"""What a slice says that it did by itself: taken as data, and only what is whole."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import a_release
from shells import SHELLS, ran

from tfheal.core.probe.reflex import events, script
from tfheal.model import paths
from tfheal.model.facts import ReflexEvent

AT = "2026-01-02T03:04:05Z"


def a_line(**changes: object) -> str:
    """Return a line of the record, with other words."""
    return json.dumps({"at": AT, "event": "restarted", "why": "answers failed", "verb": "reflex"} | changes)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
def test_the_newest_lines_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: tuple[str, ...]
) -> None:
    """Twenty of them at most, and nothing where there is no record."""
    monkeypatch.setattr(paths, "STATE", str(tmp_path))
    assert ran(script(a_release()), shell).stdout == b""
    record = Path(paths.reflex_record("notes", "web"))
    record.parent.mkdir(parents=True)
    record.write_text("".join(f"{number}\n" for number in range(50)))
    assert ran(script(a_release()), shell).stdout.split(b"\n") == [*(b"reflex %d" % n for n in range(30, 50)), b""]


def test_events_are_read() -> None:
    """In their order, each with its time and its reason, which is kept short."""
    told = [a_line(), a_line(event="gave-up"), a_line(event="systemd", why="x" * 999)]
    assert events(told) == (
        ReflexEvent(AT, "restarted", "answers failed"),
        ReflexEvent(AT, "gave-up", "answers failed"),
        ReflexEvent(AT, "systemd", "x" * 199 + "…"),
    )


@pytest.mark.parametrize(
    "line",
    [
        *("", "{}", "[]", "null", '"restarted"', "{", a_line()[:-1], "[" * 100_000),
        *(
            a_line(at="yesterday"),
            a_line(at="2026-13-02T03:04:05Z"),
            a_line(at=5),
            a_line(at="2026-01-02T03:04:05+01:00"),
        ),
        *(a_line(event="rebooted"), a_line(event=["restarted"]), a_line(why=None)),
    ],
    ids=lambda line: line[:40],
)
def test_what_is_no_event_is_passed_over(line: str) -> None:
    """It hides none of the others."""
    assert events([line, a_line(), line]) == (ReflexEvent(AT, "restarted", "answers failed"),)


@given(
    lines=st.lists(
        st.one_of(st.text(max_size=80), st.recursive(st.text() | st.integers() | st.none(), st.lists).map(json.dumps))
    )
)
def test_any_lines_are_events_or_nothing(lines: list[str]) -> None:
    """Whatever a slice says, nothing is raised."""
    assert len(events(lines)) <= len(lines)
