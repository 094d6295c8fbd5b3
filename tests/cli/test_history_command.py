"""`tfheal history` tells what was done, in any width, and to scripts."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from journals import NOW, an_action

from tfheal.cli.main import run
from tfheal.edge.journal import SqliteJournal


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a workspace without apps."""
    (tmp_path / "tfheal.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def journal(workspace: Path) -> Iterator[SqliteJournal]:
    """Return the workspace's journal."""
    with closing(SqliteJournal(workspace / ".tfheal" / "journal.db")) as opened:
        yield opened


@pytest.fixture
def story(journal: SqliteJournal) -> SqliteJournal:
    """Return a journal of three actions: done, failed, and begun by a run that ended without a word of it."""
    heal = journal.begin_run("heal --auto", NOW).id
    done = an_action(journal, heal, why="unit-failed")
    journal.conclude(done.id, "done", "3 steps", NOW + timedelta(seconds=2.34))
    failed = an_action(journal, heal, verb="redeploy", app="blog", why="drift: [red]/etc/x[/red]", incident="i1")
    journal.conclude(failed.id, "failed", "no space left", NOW + timedelta(seconds=61))
    an_action(journal, heal, verb="page", app="blog", instance=None, slice="")
    journal.end_run(heal, 7, NOW)
    return journal


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.usefixtures("story")
def test_every_width_tells_everything(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is wider than the terminal, no word is lost, and no markup of others is obeyed."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["history"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(len(line) for line in out.splitlines()) <= width
    assert "\x1b" not in out
    words = "".join(out.split())
    for word in ("restart", "done", "2.3", "redeploy", "failed", "nospaceleft", "61.0", "page", "nevertold"):
        assert word in words
    if width != 120:  # in a table a long reason is folded, and stands beside others
        assert "[red]/etc/x[/red]" in words
    assert out.index("restart") < out.index("redeploy") < out.index("page")


@pytest.mark.usefixtures("story")
def test_a_narrow_page_is_this(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries of a narrow terminal, letter by letter but for the run."""
    monkeypatch.setenv("COLUMNS", "60")
    run(["history", "blog"])
    lines = [line.partition(" (run")[0] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "2026-01-02 03:04:05Z  redeploy  failed  61.0 s",
        "  blog web@s1",
        "  drift: [red]/etc/x[/red]",
        "  no space left",
        "2026-01-02 03:04:05Z  page  never told",
        "  blog",
        "  unit-failed",
    ]


@pytest.mark.usefixtures("story")
def test_json_is_one_document_without_null_for_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts get every field; what is not known says why."""
    assert run(["history", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit"]) == ("tfheal/history/1", 0)
    done, failed, paged = document["actions"]
    assert {key: done[key] for key in ("time", "app", "instance", "what", "outcome", "seconds", "detail")} == {
        "time": "2026-01-02T03:04:05.678901Z",
        "app": "crm",
        "instance": "crm/web@s1",
        "what": "restart",
        "outcome": "done",
        "seconds": 2.34,
        "detail": "3 steps",
    }
    assert (failed["outcome"], failed["incident"]) == ("failed", "i1")
    assert paged["outcome"] == paged["seconds"] == paged["ended"] == {"unknown": "never told"}


def test_log_lines_are_no_part_of_the_table(
    journal: SqliteJournal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of a failed action says why in one line; where there is room below, and for scripts, all of it stands."""
    failed = an_action(journal, journal.begin_run("upgrade", NOW).id)
    journal.conclude(failed.id, "failed", "x died; its last lines:\nStarting x\nit broke", NOW + timedelta(seconds=2))
    monkeypatch.setenv("COLUMNS", "160")
    assert run(["history"]) == 0
    table = capsys.readouterr().out
    assert "failed: x died" in table
    assert "it broke" not in table
    for words in (["history"], ["history", "--json"]):
        monkeypatch.setenv("COLUMNS", "80")
        assert run(words) == 0
        assert "it broke" in capsys.readouterr().out


def test_what_is_under_way_is_not_called_lost(journal: SqliteJournal, capsys: pytest.CaptureFixture[str]) -> None:
    """An action of a live run is under way."""
    an_action(journal, journal.begin_run("deploy crm", NOW).id)
    assert run(["history"]) == 0
    assert "under way" in capsys.readouterr().out


@pytest.mark.usefixtures("story")
def test_limit_and_app_narrow_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The newest are kept; one app's alone are shown when asked for."""
    run(["history", "--limit", "1", "--json"])
    assert [each["what"] for each in json.loads(capsys.readouterr().out)["actions"]] == ["page"]
    run(["history", "crm", "--json"])
    assert [each["what"] for each in json.loads(capsys.readouterr().out)["actions"]] == ["restart"]
    assert run(["history", "--limit", "0"]) == 2


@pytest.mark.usefixtures("story")
def test_an_app_that_never_was_is_told_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped app is exit 2, in words and as JSON."""
    assert run(["history", "blgo"]) == 2
    assert "did you mean blog?" in capsys.readouterr().err
    assert run(["history", "blgo", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["exit"]) == ("tfheal/history/1", 2)


def test_before_anything_was_done(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty history is no error; outside a workspace it is one."""
    assert run(["history"]) == 0
    assert capsys.readouterr().out == "nothing was done yet\n"
    assert run(["history", "--workspace", str(workspace / "nowhere")]) == 2
    assert "tfheal init" in capsys.readouterr().err


@pytest.mark.usefixtures("story")
def test_it_can_be_read_while_files_hold_mistakes(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken app spec does not hide what was done."""
    (workspace / "apps").mkdir()
    (workspace / "apps" / "crm.yaml").write_text("app: [")
    assert run(["history", "crm"]) == 0
    assert "restart" in capsys.readouterr().out


def test_a_damaged_journal_is_told_with_what_to_do(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no journal ends with 7, says what to type, and is left as it is."""
    path = workspace / ".tfheal" / "journal.db"
    path.parent.mkdir()
    path.write_bytes(b"garbage" * 1_000)
    assert run(["history"]) == 7
    assert f"mv {path}" in capsys.readouterr().err.replace("\n", "")
    assert path.read_bytes() == b"garbage" * 1_000
