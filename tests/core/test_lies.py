"""Whatever a slice answers, what is read of it is facts that can be shown, stored and reckoned with, or a bad reply.

The frames are those of a true reply, so that what is behind them is reached: each parser, the judgement, the words. That
it is reached is shown too.
"""

import io
import json
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from releases import a_release, a_state
from replies import BOOT, HOWS, MACHINE, POISONS, SENTINEL, lies, mangled, packed, seldom, spoiled
from rich.console import Console
from shells import MARKER

from tfheal.base.errors import BadReply
from tfheal.core import apply
from tfheal.core.apply import Order, Report
from tfheal.core.deploy import planned
from tfheal.core.diagnose import diagnosed
from tfheal.core.probe import instance, machine
from tfheal.core.probe.script import answers
from tfheal.core.resources import steps
from tfheal.core.standing import observed
from tfheal.model.facts import Fact, Known, SliceFacts, Unknown
from tfheal.model.inventory import SliceEntry
from tfheal.model.record import Deployed, Expected, Standing
from tfheal.model.results import AppResult, InstanceResult, Status
from tfheal.render.apps import deploy_document, deploy_words
from tfheal.render.status import status_document, status_words

T = TypeVar("T")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CHECKS = [
    {"name": "answers", "kind": "alive", "command": "echo up"},
    {"name": "serves", "kind": "ready", "command": "echo no; exit 1"},
]
FILE = {"kind": "file", "path": "/etc/notes.conf", "content": "a = 1\n", "mode": "0644"}
DATA = {"kind": "directory", "path": "/srv/notes", "data": True}
RELEASE = a_release(DATA, FILE, checks=CHECKS)
STEPS = steps(RELEASE, {})
QUESTIONS = (machine.QUESTION, *instance.questions(RELEASE, STEPS, {}), machine.UPDATES)
REFLEX = b'reflex {"at":"2026-01-02T00:00:00Z","event":"restarted","why":"answers"}\n'
STATE = a_state(RELEASE.id, "1").encode() + REFLEX
WAITING = b"security 3\noldest 90000\n"
PAUSE = b"2026-01-03T00:00:00Z\nid 0123abcd\nsince 2026-01-01T00:00:00Z\nby ops\nwhy moving house\n"
DIFFERS = packed(b"content differs\ncurrent:" + packed(b"a = 2\n"))
TRUTH = (
    MACHINE,
    STATE,
    b"resource 0 0 \nresource 1 1 %s\ncomplete\n" % DIFFERS,
    b"up\n",
    b"no\n",
    WAITING,
)
ORDER = Order("deploy", "Provider on desk", "run-1", "deploy: new", 3, remembers=True)


def frame(index: int, output: bytes, status: int, seconds: int) -> bytes:
    """Return one frame of an answer."""
    return b"%s %d %s %d 10.00 %d.50" % (MARKER.encode(), index, packed(output), status, 10 + seconds)


def probes() -> st.SearchStrategy[bytes]:
    """Return replies to a look."""
    # Most of a reply is true, or the lie that would be believed drowns in others.
    status = st.sampled_from([0] * 12 + [1, 2, 124, 127, 137, 255, 999])
    frames = [
        st.builds(frame, st.just(index), seldom(truth, st.one_of(spoiled(truth), *more)), status, st.integers(0, 10**6))
        for index, (truth, more) in enumerate(zip(TRUTH, [[spoiled(PAUSE).map(paused)], *([[]] * 5)], strict=True))
    ]
    return mangled(st.tuples(*frames, st.just(f"{MARKER} end".encode())).map(list), MARKER)


def paused(told: bytes) -> bytes:
    """Return what a machine answers that keeps this as a pause of the app."""
    return MACHINE + b"pause notes " + packed(told) + b"\n"


def reports() -> st.SearchStrategy[bytes]:
    """Return replies to an apply trip."""
    words = seldom(b"-", spoiled(b"what it said").map(packed))
    outcome = st.sampled_from([b"ok", b"changed", b"failed", b"skipped", b"begun"])
    steps_told = [
        st.builds(lambda index, how, said: b"step %d %s %s" % (index, how, said), st.just(one), outcome, words)
        for one in range(2)
    ]
    status = st.sampled_from([0, 1, 124, 127, 999])
    checks_told = [
        st.builds(
            lambda index, said, code: b"check %d %s %d 10.00 10.50" % (index, packed(said), code),
            st.just(one),
            spoiled(b"up"),
            status,
        )
        for one in range(2)
    ]
    refused = st.builds(
        lambda why, said: [b"refused %s %s" % (why, packed(said))],
        st.sampled_from([b"paused", b"busy", b"older", b"wiped"]),
        spoiled(b"since then"),
    )
    done = st.tuples(*steps_told, *checks_told, st.just(b"end")).map(list)
    lines = st.one_of(done, done, done, refused).map(lambda told: [f"{MARKER} ".encode() + line for line in told])
    return mangled(lines, MARKER)


def seen(reply: bytes) -> SliceFacts | None:
    """Return the facts that a reply says, None if it is a bad reply."""
    try:
        told = answers(reply, QUESTIONS, MARKER, [SENTINEL])
    except BadReply:
        return None
    figures = machine.machine(told["machine"], told["updates"], 1767323045.0, 1767323046.0, "s1", [SENTINEL])
    facts = instance.facts(RELEASE, STEPS, [SENTINEL], told)
    return SliceFacts("s1", NOW.isoformat(), figures, {RELEASE.instance.on_slice: facts})


def reported(reply: bytes) -> Report | None:
    """Return the report that a reply is, None if it is a bad reply."""
    try:
        return apply.report(reply, RELEASE, STEPS, ORDER, [SENTINEL], MARKER)
    except BadReply:
        return None


def reckoned(facts: SliceFacts) -> None:
    """Reckon with the numbers of a slice as those do who note how releases stand, and when what waits is due."""
    machine, unit = facts.machine, facts.instances[RELEASE.instance.on_slice].unit
    if isinstance(unit, Known):
        observed(Standing(RELEASE.instance, RELEASE.id, 3), "healthy", unit.value.active_for, 600.0, NOW)
    for fact in (machine.clock_offset, machine.security_age, machine.age):
        if isinstance(fact, Known):
            assert abs(NOW - (NOW - timedelta(seconds=fact.value))) < timedelta(days=100_000)


def shown(facts: SliceFacts, *, words: bool = True) -> tuple[dict[str, object], str]:
    """Return the documents and, if wanted, the words of a status and of a plan."""
    deployed = Deployed(RELEASE.instance, RELEASE.id, "1", 3, "deployed", NOW)
    meant, by_slice = (Expected(deployed, RELEASE),), {"s1": facts}
    diagnosis = diagnosed(meant, (RELEASE.instance,), by_slice, 0.95)
    owners = {"notes": ("acme", "notes", "1")}
    status = Status(NOW, ("notes",), meant, by_slice, diagnosis, {}, {})
    listed = {"s1": SliceEntry(owner="acme", address="::1")}
    plan = planned(RELEASE, STEPS, facts, deployed, 3, reached=True)
    results = (AppResult("notes", (InstanceResult(plan, "planned", plan.detail),)),)
    documents: dict[str, object] = {
        "status": status_document(status, owners, {}, listed),
        "plan": deploy_document(results, 1),
    }
    if not words:
        return documents, ""
    said = io.StringIO()
    screen = Console(file=said, width=120, color_system=None)
    screen.print(status_words(status, owners, 120), deploy_words(results, planned=True))
    return documents, said.getvalue()


def texts(found: object) -> Iterator[str]:
    """Yield every text of a document."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from (*texts(key), *texts(value))
    elif isinstance(found, list | tuple):
        for value in found:
            yield from texts(value)
    else:
        yield str(found)


def is_clean(text: str) -> bool:
    """Return whether a text can be shown to anybody: it misleads no terminal, and holds no secret."""
    odd = (one for one in text if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
    return SENTINEL not in text and not set(odd) - set("\n\t")


def check_probe(reply: bytes) -> None:
    """Read a reply as the product does, and hold what comes of it to what is promised."""
    facts = seen(reply)
    if facts is None:
        return
    reckoned(facts)
    documents, words = shown(facts)
    json.dumps(documents, allow_nan=False).encode("ascii")
    assert all(is_clean(text) for text in texts(documents))
    assert is_clean(words)


def check_report(reply: bytes) -> None:
    """Read a report as the product does, and hold what comes of it to what is promised."""
    told = reported(reply)
    for line in reply.split(b"\n"):
        progress = apply.progress(line, STEPS, [SENTINEL], MARKER)
        assert is_clean(str(progress))
    if told is None:
        return
    assert len(told.steps) in {0, len(STEPS)}
    assert {step.step for step in told.steps} <= {step.id for step in STEPS}
    assert not (told.refused and told.changed)
    assert all(is_clean(text) for text in texts([told.refused, [(one.step, one.detail) for one in told.steps]]))
    assert all(is_clean(check.detail) and check.seconds >= 0 for check in told.checks)


@given(reply=probes())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_look_ends_as_facts_or_a_bad_reply(reply: bytes) -> None:
    """And whatever the facts are, status and plan can be judged, shown and written as JSON."""
    check_probe(reply)


@given(reply=reports())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_report_ends_as_a_report_or_a_bad_reply(reply: bytes) -> None:
    """A refusal is no report of changes, and of no step is told what is not its own."""
    check_report(reply)


def test_the_truth_is_believed() -> None:
    """What the lies are made of is a reply that is read to its end."""
    facts = seen(whole(*TRUTH))
    assert facts is not None
    ours = facts.instances["notes/web"]
    assert (facts.machine.boot_id, facts.machine.security_updates) == (Known(BOOT), Known(3))
    assert isinstance(ours.state, Known)
    assert isinstance(ours.resources, Known)
    assert ours.resources.value[1].current == "a = 2\n"
    assert "-a = 2" in shown(facts)[1]


BELIEVED: dict[str, Callable[[SliceFacts], bool]] = {
    "a stop": lambda facts: facts.machine.hands_off_since != Known(None) and isinstance(facts.machine.boot_id, Known),
    "no unit failed": lambda facts: facts.machine.failed_units == Known(()),
    "an identity": lambda facts: "\\x1b" in str(facts.machine.identity),
    "a state": lambda facts: "***" in str(facts.instances["notes/web"].state),
    "another release": lambda facts: "foreign-release" in str(shown(facts)[0]["status"]),
    "a resource": lambda facts: "***" in str(facts.instances["notes/web"].resources),
    "a check": lambda facts: "\\u202e" in str(facts.instances["notes/web"].checks),
    "no unit": lambda facts: isinstance(facts.instances["notes/web"].unit, Unknown),
}
ENDS: dict[str, Callable[[Report], bool]] = {
    "refused": lambda told: "***" in told.refused,
    "failed": lambda told: any("\\x1b" in step.detail for step in told.failures),
    "dead": lambda told: any("***" in check.detail for check in told.dead),
    "changed": lambda told: told.complete and told.changed,
    "cut": lambda told: not told.complete and not told.refused,
}


def known(fact: Fact[tuple[T, ...]]) -> tuple[T, ...]:
    """Return what is known."""
    return fact.value if isinstance(fact, Known) else ()


def whole(*outputs: bytes) -> bytes:
    """Return a reply with these answers."""
    return (
        b"\n".join([*(frame(index, said, 0, 0) for index, said in enumerate(outputs)), f"{MARKER} end".encode()])
        + b"\n"
    )


def test_any_one_word_may_be_a_lie() -> None:
    """Each line of a true reply, with each poison as its value: what is believed of it is clean, and much of it is believed."""
    reached: set[str] = set()
    for index, truth in enumerate(TRUTH):
        for lie in lies(truth, ["value", *{1: ["line"], 2: ["pack"]}.get(index, [])]):
            facts = seen(whole(*TRUTH[:index], lie, *TRUTH[index + 1 :]))
            assert facts is not None
            reckoned(facts)
            documents, _ = shown(facts, words=False)
            json.dumps(documents, allow_nan=False)
            assert all(is_clean(text) for text in texts(documents))
            reached.update(name for name, is_so in BELIEVED.items() if name not in reached and is_so(facts))
    assert reached == set(BELIEVED)


def test_any_word_that_is_kept_there_may_be_a_lie() -> None:
    """Of a pause why, by whom, since and until when; of the reflex what it did: what is believed can be shown to anybody."""
    kept = [(paused(lie), STATE) for lie in lies(PAUSE, ["value", "line"])]
    hidden = "".join(f"\\u{ord(one):04x}" for one in f"{SENTINEL}\x1b").encode()  # as JSON may write it
    kept += [(MACHINE, STATE + REFLEX.replace(b"answers", poison)) for poison in (*POISONS, hidden)]
    told: set[str] = set()
    for first, second in kept:
        facts = seen(whole(first, second, *TRUTH[2:]))
        assert facts is not None
        assert all(is_clean(text) for text in texts(shown(facts, words=False)[0]))
        told |= {pause.why for pause in known(facts.machine.pauses)}
        told |= {event.why for event in facts.instances["notes/web"].reflex}
    assert {"moving house", "moving ***", "***", "***\\x1b", "answers"} < told


def test_any_word_of_a_report_may_be_a_lie() -> None:
    """Every way in which an act ends is among the lies, with poison in its words."""
    head = f"{MARKER} ".encode()
    true = b"step 0 ok -\nstep 1 changed -\ncheck 0 dXAK 0 10.00 10.50\ncheck 1 bm8K 1 10.00 10.50\nend\n"
    poisons = [packed(poison) for poison in POISONS]
    told = [true.replace(b"1 changed -", b"1 failed " + poison) for poison in poisons]
    told += [true.replace(b"dXAK 0", poison + b" 1") for poison in poisons]
    told += [b"refused paused " + poison for poison in poisons]
    told += lies(true, HOWS)
    reached: set[str] = set()
    for words in told:
        reply = b"".join(head + line + b"\n" for line in words.splitlines())
        check_report(reply)
        if report := reported(reply):
            reached.update(name for name, is_so in ENDS.items() if is_so(report))
    assert reached == set(ENDS)
