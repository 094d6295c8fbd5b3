"""The figures of a machine: told by this very machine, and read from replies that are garbled, forged or hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shells import MARKER, SHELLS, ran

from tfheal.core.probe import machine as probe
from tfheal.core.probe.script import Answer, answers, composed
from tfheal.model.facts import Fact, Known, Machine, Unknown

TOLD = """\
now 1000.5
hands-off no
identity s1 abc
cpus 4
load 0.25
memory 4096 1024
disk 400 600
disk 90 10
disk 0 0
disk Used Avail
inodes 1 9
inodes 0 0
age 86400
boot 0b6a2d3c-1111-2222-3333-444455556666
failed begin
failed one.service
failed two@x.service
"""


def read(told: str | bytes, updates: Answer | None = None, sent: float = 1000.0, received: float = 1001.0) -> Machine:
    """Read what a machine told."""
    output = told.encode() if isinstance(told, str) else told
    return probe.machine(Answer(0, output, 0.1), updates, sent, received)


def value(fact: Fact[object]) -> object:
    """Return the value of a fact, or its reason in brackets."""
    return fact.value if isinstance(fact, Known) else f"({fact.reason})"


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: str(shell[0]))
def test_this_machine_tells_its_figures(shell: tuple[str, ...]) -> None:
    """The question is asked here by a real shell; whatever this machine is, its answer parses."""
    question = (probe.QUESTION,)
    done = ran(composed(question, MARKER, 20), shell)
    found = answers(done.stdout, question, MARKER)["machine"]
    seen = probe.machine(found, None, 0.0, 4e9)
    assert isinstance(seen.cpus, Known)
    assert seen.cpus.value >= 1
    assert isinstance(seen.disk_total, Known)
    assert isinstance(seen.disk_free, Known)
    assert 0 <= seen.disk_free.value <= seen.disk_total.value
    assert isinstance(seen.boot_id, Known)
    assert isinstance(seen.age, Known)
    assert seen.clock_offset == Known(0.0)
    assert seen.security_updates == Unknown("no time was left to ask")


def test_every_figure_is_read() -> None:
    """Of several disks the fullest counts, of what is free the share that can be used."""
    seen = read(TOLD, Answer(0, b"reboot\nsecurity 7\ndebsecan\ncve CVE-2024-3094\ncve $(id)\n", 0.1))
    assert value(seen.cpus) == 4
    assert value(seen.load) == 0.25
    assert (value(seen.memory_total), value(seen.memory_used)) == (4096, 1024)
    assert (value(seen.disk_total), value(seen.disk_free)) == (100, 10)
    assert value(seen.inodes_free_share) == 0.9
    assert value(seen.age) == 86_400
    assert value(seen.failed_units) == ("one.service", "two@x.service")
    assert value(seen.security_updates) == 7
    assert value(seen.security_cves) == ("CVE-2024-3094",)
    assert (value(seen.reboot), value(seen.patch_unfinished)) == (True, False)
    assert value(seen.hands_off_since) is None
    assert value(seen.identity) == "s1 abc"


@pytest.mark.parametrize(
    ("told", "sent", "received", "offset"),
    [
        ("1000.5", 1000.0, 1001.0, 0.0),
        ("1007", 1000.0, 1001.0, 6.0),
        ("993.5", 1000.0, 1001.0, -6.5),
        ("x", 0, 1, None),
    ],
)
def test_the_clock_is_compared_with_ours(told: str, sent: float, received: float, offset: float | None) -> None:
    """What the round trip itself explains is no offset."""
    found = read(f"now {told}\n", sent=sent, received=received).clock_offset
    assert (found.value if isinstance(found, Known) else None) == offset


@pytest.mark.parametrize(
    ("told", "since"),
    [
        ("hands-off 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("hands-off ", ""),
        ("hands-off yesterday", ""),
        ("hands-off 2026-13-40T03:04:05Z", ""),
        ("hands-off no", None),
    ],
)
def test_the_owners_stop_is_a_stop_with_or_without_a_time(told: str, since: str | None) -> None:
    """A time that is none is left out, and the stop stays."""
    assert read(told).hands_off_since == Known(since)


@pytest.mark.parametrize(
    ("updates", "told"),
    [
        (None, "(no time was left to ask)"),
        (Answer(124, b"security 3", 25.0), "(no time was left to ask)"),
        (Answer(0, b"", 0.1), "(no package lists)"),
        (Answer(0, b"security unknown\n", 0.1), "(the slice did not say)"),
        (Answer(0, b"security 0\n", 0.1), 0),
    ],
)
def test_updates_that_could_not_be_counted_are_not_none(updates: Answer | None, told: object) -> None:
    """Only a count is a count."""
    assert value(read(TOLD, updates).security_updates) == told


@pytest.mark.parametrize("answer", [None, Answer(124, TOLD.encode(), 15.0), Answer(137, b"", 16.0)])
def test_a_machine_that_did_not_answer_is_unknown(answer: Answer | None) -> None:
    """All of it: half an answer is none."""
    seen = probe.machine(answer, None, 0, 1)
    assert all(isinstance(getattr(seen, field), Unknown) for field in Machine.__dataclass_fields__)


def test_a_forged_second_answer_is_no_answer() -> None:
    """What is told twice is not known, and what is no number is none."""
    seen = read(TOLD + "cpus 8\nidentity other\nhands-off 2026-01-02T03:04:05Z\nage ٣\nboot x\n")
    assert isinstance(seen.cpus, Unknown)
    assert isinstance(seen.identity, Unknown)
    assert isinstance(seen.hands_off_since, Unknown)
    assert isinstance(read("age ٣").age, Unknown)
    assert isinstance(read("cpus 99999999999999999999").cpus, Unknown)


def test_names_of_units_are_names() -> None:
    """What is no name of a unit is left out, and of thousands a hundred are kept."""
    many = "failed begin\nfailed a b\nfailed $(id)\n" + "".join(
        f"failed u{number}.service\n" for number in range(5_000)
    )
    found = read(many).failed_units
    assert isinstance(found, Known)
    assert len(found.value) <= 100
    assert "a b" not in found.value


WORDS = ("now", "hands-off", "identity", "cpus", "load", "memory", "used", "disk", "inodes", "age", "boot", "failed")
LINES = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda word, rest: f"{word} ".encode() + rest,
        st.sampled_from(WORDS),
        st.one_of(
            st.binary(max_size=30), st.sampled_from([b"0 0", b"1 0", b"no", b"-1", b"1e9", "²".encode(), b"9" * 30])
        ),
    ),
    st.sampled_from(TOLD.encode().splitlines()),
)


@given(told=st.lists(LINES, max_size=12).map(b"\n".join))
def test_any_answer_is_figures_or_unknown(told: bytes) -> None:
    """Whatever a slice says, nothing else comes out, and no text of it can mislead."""
    seen = read(told, Answer(0, told, 0.1))
    for field in Machine.__dataclass_fields__:
        fact = getattr(seen, field)
        assert isinstance(fact, Known | Unknown)
        texts = (
            fact.value if isinstance(fact, Known) and isinstance(fact.value, tuple) else (getattr(fact, "value", ""),)
        )
        assert all(str(text).isprintable() for text in texts)
