"""An instance: its questions asked of a real shell, and facts read from whatever comes back."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from releases import a_release, a_state
from shells import MARKER, SHELLS, ran

from tfheal.core.probe import instance
from tfheal.core.probe.script import Answer, answers, composed
from tfheal.core.resources.step import Step
from tfheal.model import paths
from tfheal.model.facts import InstanceFacts, Known, SliceState, UnitFact, Unknown

CHECKS = [
    {"name": "answers", "kind": "alive", "command": "echo up"},
    {"name": "serves", "kind": "ready", "command": "echo no; exit 1"},
]
RELEASE = a_release(checks=CHECKS)
SECRETS = {("admin", 1): "hush hush"}
HIDDEN = tuple(SECRETS.values())
STATE = a_state()


def a_step(check: str, *, name: str = "file:/x", text: str | None = "wanted\n") -> Step:
    """Return a step whose check is this."""
    return Step(name, check, ":", None, timeout=5.0, check_timeout=5.0, diff=("/x", text) if text is not None else None)


def shown(content: bytes) -> str:
    """Return a check that differs and shows what is there now."""
    return f"echo 'content differs'; echo current:{base64.b64encode(content).decode()}; exit 1"


def asked(*steps: Step, shell: tuple[str, ...] = SHELLS[0]) -> InstanceFacts:
    """Ask a real shell about an instance with these steps."""
    questions = instance.questions(RELEASE, steps, SECRETS)
    told = answers(ran(composed(questions, MARKER, 30), shell).stdout, questions, MARKER)
    return instance.facts(RELEASE, steps, HIDDEN, told)


def read(state: str | bytes = STATE, resources: bytes = b"complete\n", steps: tuple[Step, ...] = ()) -> InstanceFacts:
    """Read the facts from what a slice said."""
    output = state.encode() if isinstance(state, str) else state
    prefix = RELEASE.instance.on_slice
    told = {
        f"{prefix} state": Answer(0, output, 0.1),
        f"{prefix} resources": Answer(0, resources, 0.1),
        f"{prefix} check 0": Answer(0, b"up\n", 0.1),
        f"{prefix} check 1": None,
    }
    return instance.facts(RELEASE, steps, HIDDEN, told)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the state file of the instance, which is not there yet."""
    monkeypatch.setattr(paths, "STATE", str(tmp_path))
    (tmp_path / "notes/web").mkdir(parents=True)
    return tmp_path / "notes/web/state"


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_an_instance_is_asked_about_by_a_real_shell(state: Path, shell: tuple[str, ...]) -> None:
    """Its state file, each resource and each check come back as facts."""
    state.write_text("release 0123456789abcdef\nversion 1\ngeneration 7\nwriter a\\nb \\0101\nphase applied\n")
    state.with_name("held").write_text("fedcba9876543210\nno release\n")
    seen = asked(a_step("exit 0"), a_step("echo broken >&2; exit 2", name="file:/z"), shell=shell)
    assert seen.state == Known(
        SliceState("0123456789abcdef", "1", 7, "a\\nb \\0101", "", "applied", ("fedcba9876543210",))
    )
    assert [(check.check, check.verdict, check.detail) for check in seen.checks] == [
        ("answers", "pass", "up"),
        ("serves", "fail", "no"),
    ]
    assert isinstance(seen.resources, Known)
    assert [fact.state for fact in seen.resources.value] == ["ok", "unknown"]


def test_a_check_that_ends_the_shell_leaves_everything_unknown(state: Path) -> None:
    """What comes after it was not asked, so nothing is said of any resource."""
    assert not state.exists()
    assert isinstance(asked(a_step("exit 0"), a_step("kill -9 $$", name="file:/y")).resources, Unknown)


def test_resources_are_as_wanted_differ_or_are_unknown(state: Path) -> None:
    """A check that exits 0 says ok, with 1 it differs and says how, anything else is unknown and says why."""
    assert not state.exists()
    seen = asked(
        a_step("exit 0"),
        a_step("echo 'mode is 777'; echo 'owner is x'; exit 1", name="file:/b"),
        a_step("exit 1", name="file:/c"),
        a_step("echo 'cannot be read' >&2; exit 2", name="file:/d"),
        a_step("exit 127", name="file:/e"),
        a_step(shown(b"what is there\n"), name="file:/f"),
        a_step(shown(b"hidden"), name="file:/g", text=None),
    )
    assert seen.state == Known(None)
    assert isinstance(seen.resources, Known)
    told = [(fact.resource, fact.state, fact.detail, fact.current) for fact in seen.resources.value]
    assert told == [
        ("file:/x", "ok", "", None),
        ("file:/b", "differs", "mode is 777 owner is x", None),
        ("file:/c", "differs", "not as wanted", None),
        ("file:/d", "unknown", "cannot be read", None),
        ("file:/e", "unknown", "the check ended with 127", None),
        ("file:/f", "differs", "content differs", "what is there\n"),
        ("file:/g", "differs", "content differs", None),
    ]


def test_many_large_files_are_still_facts(state: Path) -> None:
    """What is too much to be shown is left out, and the rest still comes: drift is never unknown for its size."""
    assert not state.exists()
    large = shown(b"x" * 48_000)
    seen = asked(*(a_step(large, name=f"file:/{number}") for number in range(12)), a_step("exit 0", name="file:/last"))
    assert isinstance(seen.resources, Known)
    facts = seen.resources.value
    assert [fact.state for fact in facts] == ["differs"] * 12 + ["ok"]
    assert [fact.current is not None for fact in facts[:12]] == [True] * 2 + [False] * 10
    assert {fact.detail for fact in facts[:12]} == {"content differs"}


def test_a_check_that_floods_is_cut(state: Path) -> None:
    """Its words are capped on the slice, and the next resource is asked."""
    assert not state.exists()
    seen = asked(a_step("head -c 900000 /dev/zero | tr '\\0' y; exit 1"), a_step("exit 0", name="file:/y"))
    assert isinstance(seen.resources, Known)
    assert [fact.state for fact in seen.resources.value] == ["differs", "ok"]
    assert len(seen.resources.value[0].detail) <= 500


def test_secrets_are_masked_in_all_that_is_said(state: Path) -> None:
    """In details, in what a file holds now, and in what a check prints."""
    assert not state.exists()
    seen = asked(a_step("echo 'it holds hush hush'; exit 1"), a_step(shown(b"a = hush hush\n"), name="file:/y"))
    assert isinstance(seen.resources, Known)
    assert seen.resources.value[0].detail == "it holds ***"
    assert seen.resources.value[1].current == "a = ***\n"


def test_the_state_and_the_unit_are_read() -> None:
    """In tfheal's own words, and in systemd's."""
    seen = read()
    assert seen.state == Known(
        SliceState("0123456789abcdef", "1.2", 3, "Provider on desk", "2026-01-01T00:00:00Z", "applied")
    )
    assert seen.unit == Known(UnitFact("active", "running", "success", "enabled", 2, 10.0))
    assert [check.verdict for check in seen.checks] == ["pass", "unknown"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("state generation 3", "state generation x"),
        ("state generation 3", "state generation -1"),
        ("state generation 3", "state generation ٣"),
        ("state generation 3", "state generation 9999999999"),
        ("state generation 3\n", ""),
        ("0123456789abcdef", "0123456789ABCDEF"),
        ("0123456789abcdef", "../../etc/passwd"),
        ("state ", "stat "),
    ],
)
def test_a_state_that_does_not_parse_is_unknown(before: str, after: str) -> None:
    """It is neither absent nor believed."""
    assert read(STATE.replace(before, after)).state == Unknown("the state file on the slice does not parse")


@pytest.mark.parametrize(
    ("before", "after", "field", "value"),
    [
        ("NRestarts=2", "NRestarts=²", "restarts", 0),
        ("NRestarts=2", "NRestarts=99999999999999", "restarts", 0),
        ("up 1000.00", "up ²", "active_for", None),
        ("=990000000", "=²", "active_for", None),
        ("=990000000", "=" + "9" * 40, "active_for", None),
        ("=990000000", "=1990000000", "active_for", 0.0),
        ("ActiveState=active", "ActiveState=failed", "active_for", None),
        ("MainPID=7", "MainPID=0", "idle", True),
        ("ControlPID=0", "ControlPID=8", "idle", False),
        ("ControlPID=0\n", "", "idle", False),
        ("ActiveState=active", "ActiveState=\x1b[31mfailed", "active", "\\x1b[31mfailed"),
    ],
)
def test_odd_words_of_systemd_do_no_harm(before: str, after: str, field: str, value: object) -> None:
    """What is no number counts as none, and no word can mislead."""
    seen = read(STATE.replace(before, after)).unit
    assert isinstance(seen, Known)
    assert getattr(seen.value, field) == value


def test_a_systemd_that_does_not_answer_is_unknown() -> None:
    """So is a unit of which nothing was said; a component without a service has none to ask about."""
    assert read("absent\nup 1.00 1.00\n").unit == Unknown("systemd did not answer")
    silent = Answer(124, b"", 5.0)
    told = dict.fromkeys(("notes/web state", "notes/web resources", "notes/web check 0", "notes/web check 1"), silent)
    seen = instance.facts(RELEASE, (), HIDDEN, told)
    assert isinstance(seen.state, Unknown)
    assert isinstance(seen.unit, Unknown)
    assert isinstance(seen.resources, Unknown)
    without = a_release(unit=None)
    facts = instance.facts(without, (), (), {"notes/web state": None, "notes/web resources": None})
    assert isinstance(facts.unit, Unknown)


STEPS = (a_step("exit 0"), a_step("exit 0", name="file:/y"))
PACKED = base64.b64encode(b"it differs").decode()


@pytest.mark.parametrize(
    "resources",
    [
        b"",
        b"resource 0 0 \nresource 1 0 \n",
        b"resource 0 0 \ncomplete\n",
        b"resource 0 0 \nresource 2 0 \ncomplete\n",
        b"resource 0 0 \nresource 1 0 !\ncomplete\n",
        b"resource 0 0 \nresource 1 0 \ncomplete\nmore",
    ],
)
def test_resources_that_were_not_all_told_are_unknown(resources: bytes) -> None:
    """Half an answer is none."""
    assert isinstance(read(resources=resources, steps=STEPS).resources, Unknown)


LINES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(STATE.encode().splitlines()),
    st.sampled_from(
        [b"complete", b"absent", b"resource 0 0 ", f"resource 1 1 {PACKED}".encode(), b"resource 1 1 /w=="]
    ),
    st.builds(
        lambda word, rest: word + rest,
        st.sampled_from(
            [b"state generation ", b"NRestarts=", b"up ", b"ActiveEnterTimestampMonotonic=", b"resource 0 "]
        ),
        st.one_of(st.binary(max_size=20), st.sampled_from(["²".encode(), b"1e9", b"-0", b"9" * 30, b"0.00"])),
    ),
)


@given(state=st.lists(LINES, max_size=10).map(b"\n".join), resources=st.lists(LINES, max_size=6).map(b"\n".join))
def test_any_answers_are_facts(state: bytes, resources: bytes) -> None:
    """Whatever a slice says, facts or unknowns come out, and no text of them can mislead."""
    seen = read(state, resources, STEPS)
    texts: list[str] = []
    if isinstance(seen.resources, Known):
        assert len(seen.resources.value) == 2
        texts += [text for fact in seen.resources.value for text in (fact.detail, fact.current or "")]
    if isinstance(seen.state, Known) and seen.state.value:
        texts += [seen.state.value.version, seen.state.value.writer, seen.state.value.phase]
    if isinstance(seen.unit, Known):
        texts += [seen.unit.value.active, seen.unit.value.sub, seen.unit.value.result]
    assert all(character.isprintable() or character in "\n\t" for text in texts for character in text)
