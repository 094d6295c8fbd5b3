"""Pauses: their files as a slice keeps them, written, read and swept by a real shell; and which of them stand."""

import hashlib
import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fleets import fleet
from hypothesis import given
from hypothesis import strategies as st
from shells import MARKER, SHELLS, ran

from tfheal.base.errors import BadReply
from tfheal.base.moments import rfc3339
from tfheal.core import pauses, pausing
from tfheal.core.probe import machine as probe
from tfheal.core.probe.script import Answer
from tfheal.model import paths
from tfheal.model.facts import Known, SliceFacts
from tfheal.model.pause import Pause, Paused, Place

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 (the shell asks the same clock)
OURS = Pause("1m8p1", "app", "shop", NOW, NOW + timedelta(hours=2), "tom@desk", "moving the disk")
WHOLE = replace(OURS, id="1m8p2", kind="slice", name="s1")
PAST = replace(OURS, id="1m8p3", name="wiki", until=NOW - timedelta(seconds=1))


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give pauses a place of their own, and return it."""
    places = {"STATE": "var", "PAUSES": "var/pause.d", "RUN": "run", "HANDS_OFF": "off", "SLICE_JOURNAL": "log/journal"}
    for name, place in places.items():
        monkeypatch.setattr(paths, name, str(tmp_path / place))
    (tmp_path / "run").mkdir()
    return tmp_path / "var/pause.d"


def done(body: str, shell: tuple[str, ...] = SHELLS[0], apps: tuple[str, ...] = ()) -> tuple[str, str]:
    """Run the trip that a body is for, and return what it told."""
    return pausing.told(ran(pausing.composed(body, apps, MARKER), shell).stdout, MARKER)


def seen(shell: tuple[str, ...] = SHELLS[0]) -> tuple[Pause, ...]:
    """Return the pauses that a look at this machine finds."""
    told = probe.machine(Answer(0, ran(pauses.question(), shell).stdout, 0.1), None, 0.0, 1.0, "s1")
    assert isinstance(told.pauses, Known)
    return told.pauses.value


def guarded(app: str, shell: tuple[str, ...]) -> str:
    """Return why the guard of an apply trip refuses an app, nothing if it lets it pass."""
    head = 'say() { echo "$*"; }\npacked() { printf %s "$1" | base64 -w 0; }\n'
    script = f"{head}try() {{\n{pauses.guard(app)}echo passes\n}}\ntry\n"
    told = ran(script, shell).stdout.decode().split()
    if told == ["passes"]:
        return ""
    return pauses.refusal(
        subprocess.run(["base64", "-d"], input=told[2].encode(), capture_output=True, check=True).stdout, "s1"
    )


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_a_pause_is_written_seen_obeyed_and_ended(kept: Path, shell: tuple[str, ...]) -> None:
    """Its file says when it ends on the first line; the guard refuses while it stands, takes past ones away, and leaves nothing."""
    assert done(pausing.kept([OURS, PAST], MARKER), shell) == ("done", "")
    assert (kept / "shop").read_text().splitlines()[0] == f"{OURS.until:%Y-%m-%dT%H:%M:%SZ}"
    assert seen(shell) == (replace(OURS, on="s1"), replace(PAST, on="s1"))
    assert guarded("shop", shell) == OURS.words
    assert guarded("wiki", shell) == ""
    assert sorted(path.name for path in kept.iterdir()) == ["shop"]
    assert guarded("blog", shell) == ""
    done(pausing.kept([WHOLE], MARKER), shell)
    assert guarded("blog", shell) == WHOLE.words
    assert done(pausing.lifted(WHOLE), shell)[0] == "done"
    assert done(pausing.lifted(OURS), shell)[0] == "done"
    assert done(pausing.lifted(OURS), shell)[0] == "idle"
    assert not kept.exists()


def test_the_owner_reads_of_it(kept: Path) -> None:
    """Each pause that is written and each that is lifted, also one that was lifted out of reach, is a line of their journal."""
    done(pausing.kept([OURS, WHOLE], MARKER))
    done(pausing.lifted(replace(OURS, who="eve", why="")))
    done(pausing.lifted(OURS))
    done(pausing.swept([replace(WHOLE, lifted=NOW)]))
    lines = (kept.parents[1] / "log/journal").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    made = {"writer": OURS.who, "app": "shop", "why": OURS.why, "until": rfc3339(OURS.until or NOW), "event": "pause"}
    assert made.items() <= told[0].items()
    assert [(one["event"], one.get("app"), one["writer"]) for one in told] == [
        ("pause", "shop", OURS.who),
        ("pause", None, WHOLE.who),
        ("resume", "shop", "eve"),
        ("resume", None, ""),
    ]
    chain = [hashlib.sha256(f"{line}\n".encode()).hexdigest() for line in lines]
    assert [one["prev"] for one in told[1:]] == chain[:-1]


def test_what_is_over_is_swept_and_what_took_its_place_stays(kept: Path) -> None:
    """A lifted pause goes by its id, a past one by its end; a file that a colleague wrote since is left."""
    done(pausing.kept([OURS, PAST, WHOLE], MARKER))
    done(pausing.swept([replace(OURS, id="other"), WHOLE]))
    assert [path.name for path in kept.iterdir()] == ["shop"]
    done(pausing.swept([OURS]))
    assert not kept.exists()


def test_a_file_of_somebodys_own_making_is_a_pause(kept: Path) -> None:
    """Without an end it stands until somebody lifts it; what is no file of a pause is nothing."""
    kept.mkdir(parents=True)
    (kept / "shop").write_text("please not now\x1b[31m")
    (kept / "no App").touch()
    (kept / ".new").touch()
    (one,) = seen()
    assert (one.name, one.until, one.holds(NOW + timedelta(days=9_999))) == ("shop", None, True)
    assert "until somebody lifts it" in guarded("shop", SHELLS[0])
    done(pausing.swept([]))
    assert (kept / "shop").exists()


def test_what_began_before_is_waited_for_and_named(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another run holds the app's lock the pause is written all the same, and says who is still at work."""
    monkeypatch.setattr(pausing, "WAIT", 0.1)
    lock = kept.parents[1] / "run/shop.lock"
    lock.with_suffix(".holder").write_text("tom on desk, deploy, run 7\n")
    body = pausing.kept([OURS], MARKER)
    with subprocess.Popen(["flock", str(lock), "cat"], stdin=subprocess.PIPE) as holder:
        while subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 0:
            pass
        assert done(body, apps=("blog", "shop")) == ("done", "tom on desk, deploy, run 7")
        holder.communicate()
    assert done(body, apps=("shop",)) == ("done", "")


def test_where_the_owner_says_stop_nothing_is_written(kept: Path) -> None:
    """Hands off holds for files of pauses too; and what cannot be written is told."""
    (kept.parents[1] / "off").touch()
    assert done(pausing.kept([OURS], MARKER))[0] == "owner"
    assert not kept.exists()
    (kept.parents[1] / "off").unlink()
    kept.parent.mkdir()
    kept.write_text("in the way")
    assert done(pausing.kept([OURS], MARKER))[0] == "failed"
    with pytest.raises(BadReply):
        pausing.told(b"nonsense", MARKER)


def test_a_trip_that_is_cut_does_nothing(kept: Path) -> None:
    """Cut anywhere, the script writes nothing."""
    script = pausing.composed(pausing.kept([OURS], MARKER), ("shop",), MARKER)
    for end in range(0, len(script) - 1, 97):
        ran(script[:end])
        assert not kept.exists(), script[:end]


def test_what_stands_is_ours_and_what_slices_tell() -> None:
    """A lifted pause of ours does not stand whatever a slice still tells; a colleague's counts on its slice alone."""
    stranger = replace(OURS, id="1m8p9", on="s1")
    facts = fleet({}).seen["s1"]
    assert isinstance(facts, SliceFacts)
    told = {"s1": replace(facts, machine=replace(facts.machine, pauses=Known((replace(OURS, on="s1"), stranger))))}
    assert pauses.standing([OURS], told, NOW) == (OURS, stranger)
    assert pauses.standing([replace(OURS, lifted=NOW)], told, NOW) == (stranger,)
    assert pauses.standing([OURS], told, NOW + timedelta(hours=2)) == ()
    assert (stranger.concerns("shop", "s1"), stranger.concerns("shop", "s2")) == (True, False)


@given(content=st.binary(max_size=900), file=st.text(max_size=12))
def test_no_file_breaks_the_reader(content: bytes, file: str) -> None:
    """Whatever a slice shows as a pause is a pause with visible text, or none."""
    pause = pauses.parsed(file, content, "s1")
    if pause:
        assert pause.words.isprintable()
        assert pauses.parsed("shop", pauses.text_of(replace(pause, kind="app", name="shop")).encode(), "s1")


def test_the_exit_code_says_what_no_file_says() -> None:
    """Out of reach is 4, a slice where it did not work 5; the owner's own stop is no trouble."""
    places = {name: Place("s1", name) for name in ("done", "idle", "owner", "failed", "unreached")}
    codes = {name: int(Paused(OURS, 1, (place,)).exit) for name, place in places.items()}
    assert codes == {"done": 0, "idle": 0, "owner": 0, "failed": 5, "unreached": 4}
