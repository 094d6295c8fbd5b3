"""The apply trip by a real shell: guards, steps, the record on the slice, and a report that no reply breaks."""

import hashlib
import json
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import a_release
from shells import MARKER, SHELLS, kept_open, ran

from tfheal.base.errors import BadReply
from tfheal.core import apply
from tfheal.core.apply import Order, Report, StepReport
from tfheal.core.resources.step import Step
from tfheal.model import paths

DEPLOY = Order("deploy", "Provider on desk", "run-1", "deploy: new", 3, remembers=True, identity="s1 abc")
HEAL = replace(DEPLOY, verb="restart", why="unit-failed", remembers=False, identity=None)
PLACES = {
    "STATE": "var",
    "RUN": "run",
    "OWNER": "etc",
    "HANDS_OFF": "etc/hands-off",
    "IDENTITY": "var/identity",
    "SLICE_JOURNAL": "log/journal.jsonl",
}
RELEASE = a_release(unit=None, checks=[{"name": "answers", "kind": "alive", "command": "echo up"}])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give everything that an apply trip writes a place of its own."""
    for name, place in PLACES.items():
        monkeypatch.setattr(paths, name, str(tmp_path / place))
    (tmp_path / "etc").mkdir()
    (tmp_path / "var").mkdir()
    (tmp_path / "var/identity").write_text("s1 abc\n")
    return tmp_path


def a_step(name: str, check: str, apply_: str, **changes: object) -> Step:
    """Return a step; it is quick."""
    fields: dict[str, object] = {"timeout": 5.0, "check_timeout": 5.0} | changes
    return Step(name, check, apply_, None, **fields)  # type: ignore[arg-type]


def touch(machine: Path, name: str) -> Step:
    """Return the step that makes a file."""
    return a_step(name, f"[ -e {machine}/{name} ] || {{ echo missing; exit 1; }}", f": >{machine}/{name}")


def trip(
    *steps: Step,
    order: Order = DEPLOY,
    shell: tuple[str, ...] = SHELLS[0],
    secrets: Mapping[tuple[str, int], str] | None = None,
) -> Report:
    """Run an apply trip and read its report."""
    script = apply.composed(RELEASE, steps, order, secrets or {}, MARKER)
    return apply.report(kept_open(script, shell).stdout, RELEASE, steps, order, tuple((secrets or {}).values()), MARKER)


def state(machine: Path) -> dict[str, str]:
    """Return what is remembered about the instance."""
    lines = (machine / "var/notes/web/state").read_text().splitlines()
    return dict(line.partition(" ")[::2] for line in lines)


def journal(machine: Path) -> list[str]:
    """Return the lines of the owner's journal, with their ends."""
    return (machine / "log/journal.jsonl").read_text().splitlines(keepends=True)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_steps_are_guarded_applied_and_verified(machine: Path, shell: tuple[str, ...]) -> None:
    """What is as wanted is left alone, what differs is applied, and the checks are asked at the end."""
    (machine / "here").touch()
    done = trip(touch(machine, "here"), touch(machine, "there"), shell=shell)
    assert [(step.step, step.outcome) for step in done.steps] == [("here", "ok"), ("there", "changed")]
    assert (done.complete, done.changed, done.failures, done.dead) == (True, True, (), ())
    assert [(check.check, check.verdict, check.detail) for check in done.checks] == [("answers", "pass", "up")]
    again = trip(touch(machine, "here"), touch(machine, "there"), shell=shell)
    assert not again.changed


def test_what_is_good_and_what_is_held_stands_on_the_slice(machine: Path) -> None:
    """A rollback holds the bad release, a deploy of it lifts that, and who knows of nothing good leaves the list alone."""
    kept = machine / "var/notes/web"
    trip(order=replace(DEPLOY, verb="rollback", good=(("new", "lib"), ("old",)), holds="0123456789abcdef"))
    assert ((kept / "good").read_text(), (kept / "held").read_text()) == ("new lib\nold\n", "0123456789abcdef\n")
    trip(order=replace(HEAL, holds=RELEASE.id))
    assert (kept / "held").read_text() == f"0123456789abcdef\n{RELEASE.id}\n"
    trip(order=DEPLOY)
    assert ((kept / "good").read_text(), (kept / "held").read_text()) == ("new lib\nold\n", "0123456789abcdef\n")


def test_the_first_failure_stops_the_rest(machine: Path) -> None:
    """What fails is told with its last words, what comes after is skipped, and the checks are asked all the same."""
    fails = a_step("fails", "exit 1", "echo out; printf %s 'bad: \\0 $x' >&2; exit 7")
    done = trip(touch(machine, "before"), fails, touch(machine, "after"))
    assert [step.outcome for step in done.steps] == ["changed", "failed", "skipped"]
    assert done.failures[0].detail.strip() == "out\nbad: \\0 $x"
    assert not (machine / "after").exists()
    assert done.complete
    assert len(done.checks) == 1
    assert state(machine)["phase"] == "applying"


def test_an_apply_that_changed_nothing_has_failed(machine: Path) -> None:
    """A step is over when its check passes, not when its command says so."""
    assert machine.exists()
    done = trip(a_step("claims", "echo still; exit 1", ":"))
    assert done.failures == (StepReport("claims", "failed", "applied, but still: still\n"),)


def test_a_step_without_a_check_is_always_applied(machine: Path) -> None:
    """A removal asks nothing before."""
    done = trip(a_step("remove it", "", f"echo once >>{machine}/count"), order=replace(HEAL, verb="remove"))
    assert [step.outcome for step in done.steps] == ["changed"]
    assert (machine / "count").read_text() == "once\n"
    assert done.checks == ()


def test_a_step_ends_at_its_time_out(machine: Path) -> None:
    """It failed, and the report goes on."""
    begun = time.monotonic()
    done = trip(a_step("sleeps", "exit 1", "echo begun; sleep 60", timeout=0.3), touch(machine, "after"))
    assert [step.outcome for step in done.steps] == ["failed", "skipped"]
    assert done.failures[0].detail.strip() == "begun"
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_who_works_long_gives_signs_of_life(machine: Path, shell: tuple[str, ...]) -> None:
    """They come on stderr, so that they are in no frame."""
    assert machine.exists()
    script = apply.composed(RELEASE, (a_step("works", "", "sleep 2.6"),), DEPLOY, {}, MARKER)
    done = kept_open(script, shell)
    assert set(done.stderr) == set(b".")
    assert b"." not in done.stdout.split(b" check ")[0]
    assert apply.report(done.stdout, RELEASE, (a_step("works", "", ":"),), DEPLOY, (), MARKER).complete


def test_nothing_waits_for_the_next_sign_of_life(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the work is done, what would give it holds neither the output nor the lock any more."""
    monkeypatch.setattr(apply, "PULSE", 60)
    assert trip(touch(machine, "a")).complete  # read to the end of the output, or a time-out fails this
    assert not trip(touch(machine, "b")).refused


def test_what_is_due_is_marked_before_it_is_made_due(machine: Path) -> None:
    """A run that is killed after a change leaves the mark that a restart is due."""
    looks = a_step("looks", "exit 1", f"ls {machine}/var/notes/web; exit 1", effect="restart")
    assert "restart-needed" in trip(looks).failures[0].detail


def test_a_mark_that_cannot_be_made_is_a_failure_that_is_told(machine: Path) -> None:
    """Nothing is changed that nobody would remember, and the shell does not just end."""
    (machine / "var/notes/web/restart-needed").mkdir(parents=True)
    (machine / "var/notes/web/restart-needed").rmdir()
    (machine / "var/notes/web/restart-needed").symlink_to(machine / "nowhere/at/all")
    done = trip(replace(touch(machine, "made"), effect="restart"))
    assert [step.outcome for step in done.steps] == ["failed"]
    assert "restart-needed" in done.failures[0].detail
    assert not (machine / "made").exists()
    assert done.complete


def test_what_was_deployed_is_remembered(machine: Path) -> None:
    """Release, generation, writer and phase stay on the slice; a restart leaves them alone."""
    trip(touch(machine, "a"))
    kept = state(machine)
    assert kept["release"] == RELEASE.id
    assert (kept["generation"], kept["writer"], kept["phase"]) == ("3", "Provider on desk", "applied")
    trip(touch(machine, "b"), order=replace(HEAL, generation=9))
    assert state(machine) == kept


def test_every_action_is_in_the_chained_journal(machine: Path) -> None:
    """A line before, a line after, each with the hash of the one before it; any words are JSON."""
    odd = 'it\'s "odd" %s \\n \x1b[31m $(id)\nand more'
    trip(touch(machine, "a"), order=replace(DEPLOY, why=odd))
    trip(a_step("fails", "exit 1", "exit 1"), order=HEAL)
    records = [json.loads(line) for line in journal(machine)]
    told = [(one["event"], one["verb"], one.get("outcome")) for one in records]
    assert told == [
        ("begin", "deploy", None),
        ("end", "deploy", "changed"),
        ("begin", "restart", None),
        ("end", "restart", "failed"),
    ]
    assert records[0]["why"] == odd
    before = ""
    for line, record in zip(journal(machine), records, strict=True):
        assert record["prev"] == hashlib.sha256(before.encode()).hexdigest()
        before = line


def test_a_torn_line_of_the_journal_is_kept_and_chained(machine: Path) -> None:
    """What a power failure left half written stays in its place, and the next line says its hash."""
    (machine / "log").mkdir()
    (machine / "log/journal.jsonl").write_text('{"prev":"x","at"')
    trip(touch(machine, "a"))
    lines = journal(machine)
    assert lines[0] == '{"prev":"x","at"\n'
    assert json.loads(lines[1])["prev"] == hashlib.sha256(lines[0].encode()).hexdigest()


def test_the_owners_stop_is_obeyed(machine: Path) -> None:
    """Nothing is done, not even a record, and the words say whose wish it is and since when."""
    (machine / "etc/hands-off").touch()
    done = trip(touch(machine, "a"))
    assert done.refused.startswith("paused by the owner since 20")
    assert not (machine / "a").exists()
    assert not (machine / "log").exists()


@pytest.mark.parametrize(
    ("generation", "refused"),
    [
        ("4", True),
        ("999999999", True),
        ("3", False),
        ("2", False),
        ("", False),
        ("garbage", False),
        ("$(touch {0}/owned)", False),
        ("`touch {0}/owned`", False),
        ("9 -o 1 -eq 1", False),
        ("-1", False),
        ("9999999999999999999999", False),
    ],
)
def test_an_order_from_before_is_refused(machine: Path, generation: str, refused: bool) -> None:  # noqa: FBT001 (a table)
    """A slice that knows a higher generation says so; what is no number is no generation, and is never run."""
    (machine / "var/notes/web").mkdir(parents=True)
    written = generation.replace("{0}", str(machine))
    (machine / "var/notes/web/state").write_text(f"release x\ngeneration {written}\nphase applied\n")
    done = trip(touch(machine, "a"))
    assert bool(done.refused) == refused
    assert (machine / "a").exists() != refused
    assert not (machine / "owned").exists()
    if refused:
        assert generation in done.refused


def test_a_machine_that_lost_its_identity_is_left_alone(machine: Path) -> None:
    """Healing refuses it, a deploy gives it a new one, and a removal only tidies up."""
    (machine / "var/identity").unlink()
    assert "marker of identity is gone" in trip(touch(machine, "a"), order=HEAL).refused
    assert not (machine / "a").exists()
    assert not trip(touch(machine, "b"), order=replace(HEAL, verb="remove")).refused
    assert not (machine / "var/identity").exists()
    assert not trip(touch(machine, "c"), order=DEPLOY).refused
    assert (machine / "var/identity").read_text() == "s1 abc\n"
    assert not trip(touch(machine, "d"), order=replace(DEPLOY, identity="s1 def")).refused
    assert (machine / "var/identity").read_text() == "s1 abc\n"


def test_a_secret_is_masked_before_its_words_are_cut(machine: Path) -> None:
    """Neither a step nor a check shows it, wherever it stands in what they say."""
    assert machine.exists()
    hidden = "pass  word\n'x'"
    told = trip(a_step("tells", "exit 1", f'printf %s "<{hidden}>"; exit 1'), secrets={("admin", 1): hidden})
    assert told.failures[0].detail == "<***>"


def test_a_script_cut_at_any_byte_does_nothing(machine: Path) -> None:
    """Half an apply trip leaves no lock, no state, no record and no change."""
    script = apply.composed(RELEASE, (touch(machine, "a"),), DEPLOY, {}, MARKER).encode()
    before = sorted(machine.rglob("*"))
    for length in [*range(0, len(script) - 60, 7), *range(len(script) - 60, len(script) - 1)]:
        assert ran(script[:length]).stdout == b"", length
        assert sorted(machine.rglob("*")) == before, length
    kept_open(script.decode())
    assert (machine / "a").exists()


def test_a_connection_that_goes_away_leaves_the_work_to_be_finished(machine: Path) -> None:
    """With nobody to report to the script ends before its next step: what was begun is on record, and not called done."""
    script = apply.composed(RELEASE, (touch(machine, "a"), touch(machine, "b")), DEPLOY, {}, MARKER).encode()
    with subprocess.Popen(SHELLS[0], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.close()
        process.stdin.write(script)
        process.stdin.flush()
        assert process.wait(timeout=10) == -signal.SIGPIPE
    assert state(machine)["phase"] == "applying"
    assert [json.loads(line)["event"] for line in journal(machine)] == ["begin"]
    assert not (machine / "b").exists()


def test_waiting_ends_when_it_is_alive(machine: Path) -> None:
    """It waits for the `alive` checks, and tells which still fails when its time is over."""
    ready = machine / "ready"
    asks = {"name": "answers", "kind": "alive", "command": f"[ -e {ready} ] || {{ echo not yet; exit 1; }}"}
    slow = {"name": "serves", "kind": "ready", "command": "exit 1"}
    release = a_release(unit=None, checks=[asks, slow], start_timeout=1.0)
    late = ran(apply.wait_script(release, {}))
    assert (late.returncode, late.stdout) == (1, b"not alive after 1 s: answers: not yet\n")
    begun = time.monotonic()
    assert ran(f"( sleep 0.5; : >{ready} ) &\n{apply.wait_script(release, {})}").returncode == 0
    assert time.monotonic() - begun < 3


def test_waiting_ends_when_systemd_has_given_up() -> None:
    """What will not start by itself any more is not waited for."""
    given_up = 'systemctl() { [ "$1" = is-failed ]; }\n'
    release = a_release(unit="x.service", checks=[], start_timeout=60.0)
    begun = time.monotonic()
    late = ran(given_up + apply.wait_script(release, {}))
    assert (late.returncode, b"given it up: the unit is not active" in late.stdout) == (1, True)
    assert time.monotonic() - begun < 10


STEPS = (a_step("one", "exit 1", ":"), a_step("two", "exit 1", ":"))
CHECK = b" check 0 dXAK 0 10.00 10.50"
WHOLE = tuple(MARKER.encode() + tail for tail in (b" step 0 ok -", b" step 1 changed -", CHECK, b" end"))


def read(*lines: bytes) -> Report:
    """Read the lines of a reply."""
    return apply.report(b"\n".join(lines), RELEASE, STEPS, DEPLOY, (), MARKER)


def test_a_report_that_breaks_off_says_how_far_it_came() -> None:
    """What was reported counts, the rest was not reached, and it is not complete."""
    half = read(WHOLE[0])
    assert [(step.outcome, step.detail) for step in half.steps] == [("ok", ""), ("skipped", "not reached")]
    assert not half.complete
    assert read(*WHOLE).complete
    assert not read().complete


@pytest.mark.parametrize(
    "lines",
    [
        (*WHOLE[:2], WHOLE[3]),
        (WHOLE[2].replace(b"check 0", b"check 1"), *WHOLE),
        (*WHOLE, WHOLE[2]),
        (WHOLE[2].replace(b"10.50", b"soon"), *WHOLE),
        (WHOLE[2].replace(b"dXAK", b"dXA"), *WHOLE),
    ],
    ids=["a check is missing", "not asked", "answered twice", "no time", "no base64"],
)
def test_a_report_that_is_not_one_is_refused(lines: tuple[bytes, ...]) -> None:
    """Checks that do not fit make the whole report a bad reply."""
    with pytest.raises(BadReply):
        read(*lines)


def test_lines_of_nobody_are_noise() -> None:
    """Other markers, unknown steps and unknown words change nothing, and hostile words are neutralised."""
    forged = b"0" * 16 + b" step 0 failed -"
    odd = (b" step 7 failed -", b" step 0 exploded -", b" hello")
    told = read(forged, *(MARKER.encode() + tail for tail in odd), *WHOLE)
    assert told == read(*WHOLE)
    hostile = apply.progress(MARKER.encode() + b" step 0 failed G1szMW3igK4=", STEPS, (), MARKER)
    assert hostile == StepReport("one", "failed", "\\x1b[31m\\u202e")


@given(
    lines=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(lambda tail: f"{MARKER} ".encode() + tail, st.binary(max_size=40)),
            st.sampled_from(WHOLE),
            st.builds(
                lambda word, index, tail: f"{MARKER} {word} {index} ".encode() + tail,
                st.sampled_from(["step", "check", "refused"]),
                st.sampled_from(["0", "1", "9", "paused", "older"]),
                st.sampled_from([b"failed !", b"failed 4pyT", b"ok -", b"YQ== 0 1.00 2.00", b"", b"/w=="]),
            ),
        ),
        max_size=8,
    )
)
@settings(max_examples=300, deadline=None)
def test_any_reply_is_a_report_or_a_bad_reply(lines: list[bytes]) -> None:
    """Whatever a slice sends, nothing else comes out, and no control character is in any text of it."""
    try:
        told = read(*lines)
    except BadReply:
        return
    words = [told.refused, *(step.detail for step in told.steps), *(check.detail for check in told.checks)]
    assert all(character.isprintable() or character in "\n\t" for text in words for character in text)
    assert len(told.steps) in {0, 2}
