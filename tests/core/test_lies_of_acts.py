"""Whatever a slice or a store answers to what is done there, what is read of it is data or an error of ours, and nothing else.

An error of Python's own ends the run for all. Each line of a true reply is spoiled by each poison, in the words and in what
is packed; what is believed of it is reckoned with, shown and stored as it is by those who asked.
"""

import json
from collections.abc import Callable
from dataclasses import astuple
from datetime import UTC, datetime

import pytest
from replies import BOOT, HOWS, POISONS, lies, packed
from shells import MARKER

from tfheal.base.errors import TfhealError
from tfheal.core import certificates, draining, lease, maintenance, passage, patching, pausing
from tfheal.core.backup import capture, copying, drill, keys, ledger, listing, progress, prune, recovery, verify
from tfheal.core.backup.drill import Rehearsal
from tfheal.core.backup.job import Job, Task, TaskReply, replies
from tfheal.core.charter import forbids
from tfheal.core.exploited import ranked, urgency
from tfheal.core.patch_rules import Wish, chosen, gated, left_out
from tfheal.core.probe import patches, vulnerabilities
from tfheal.core.probe.script import Answer
from tfheal.model.backup import FOLDERS, Part
from tfheal.model.facts import Known
from tfheal.model.patches import PatchPlan
from tfheal.model.release import InstanceName
from tfheal.model.route import Route, Server
from tfheal.model.verification import Verification
from tfheal.render.certificates import certificates_document, certificates_words
from tfheal.render.patch import patch_document, patch_words

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EDGE = InstanceName("edge", "gateway", "s3")
ID = "5e89abd77dc7a352aa9c4a165bdfd52c5b591957b66e20fd957b56fa5ae71574"
ROUTE = Route("page", "page.example", 8091, "/up", (Server("s1", "fd00::1"),))
TABLE = b"# pxname,svname,scur,stot,econ,eresp,status,uweight,hrsp_5xx\npage,s1,2,100,1,2,UP,100,4\n"
SUMMARY = {"message_type": "summary", "snapshot_id": ID, "total_files_processed": 1, "total_bytes_processed": 2}
CHANGE = "/var/spool/tfheal/shop-db/7300000000000000001/20260304T110000"
SNAPSHOT = {"id": ID, "time": "2026-03-04T00:00:00Z", "tags": ["cluster=7", "wal=20260304T110000"], "paths": [CHANGE]}
STATUS = {"percent_done": 0.5, "seconds_remaining": 5, "bytes_done": 7, "total_bytes": 9, "files_done": 3}
ENTRY = {"type": "file", "path": "/srv/a", "size": 5, "mtime": "2026-03-04T00:00:00Z"}
PART = Part("s1", FOLDERS, "good", ID, 1_000, 10)


def told_of_certificates(reply: bytes) -> object:
    """Read them, judge them, and write them for people and scripts."""
    seen = {EDGE: certificates.certificates(reply, EDGE, {"a.example"}, MARKER)}
    certificates_words(seen, (), NOW, 100)
    return [list(map(astuple, certificates.told(seen[EDGE], NOW))), certificates_document(seen, ())]


def told_of_patches(said: bytes) -> object:
    """Read what is pending and what is known of it, choose, and write it for people and scripts."""
    answer = Answer(0, said, 0.1)
    found = patches.pending(answer)
    if not isinstance(found, Known):
        return found.reason
    pending = ranked(found.value, frozenset({"CVE-2026-0001"}), vulnerabilities.vulnerabilities(answer))
    wish = Wish(security=True, auto=True)
    gated(chosen(pending, wish), (None,), 86_400.0, NOW)
    plan = PatchPlan({"s1": Known(pending)}, {"s1": ("page",)}).warned({"s1": "acme"})
    patch_words(plan)
    return [
        forbids(pending.charter, "patch"),
        urgency(Known(pending)),
        patch_document(plan, 1),
        str(left_out(pending, wish)),
    ]


def told_of_backends(reply: bytes) -> object:
    """Read what a gateway leads to."""
    return [astuple(one) for one in draining.backends(reply, EDGE, {"page": "web"}, MARKER)]


def told_of_a_job(reply: bytes) -> object:
    """Read a job, and what it said as everything that a job may have said."""
    heard = replies(reply, Job("1m", "page", "me", (Task("reach", ""),)), MARKER, ())
    return [told_by_a_task(one) for one in heard.values()]


def told_by_a_task(one: TaskReply) -> object:
    """Read the words of a task by every parser there is; one that cannot read them says so."""
    doors: list[Callable[[], object]] = [
        lambda: astuple(capture.judged(capture.Source(FOLDERS, ("/srv",)), "s1", one, (PART, PART))),
        lambda: capture.why_failed(one),
        lambda: [astuple(step) for step in drill.told(Rehearsal("page", "s1", (PART,), (), {}), {"restore": one})[0]],
        lambda: prune.freed({prune.SHUT: one, prune.SIZE: TaskReply(0, "1", "")}),
        lambda: [progress.told("folders", word) for word in capture.messages(one.out)],
        lambda: [astuple(entry) for entry in listing.entries(one.out)],
        lambda: [astuple(each) for each in ledger.unknown("s1", one.out, ())],
        lambda: [str(each) for each in copying.found_again("s1", one.out, (), "s2")],
        lambda: keys.owners(one.out),
        lambda: [astuple(each) for each in recovery.changes("s1", one.out)],
        lambda: str(recovery.recovery(PART, one.out, NOW, NOW)),
        lambda: str(recovery.replayed(capture.messages(one.out))),
        lambda: str(verify.judged(Verification("page", "s1", NOW, 1, sound=False), judged_by(one), {ID}, {ID})),
    ]
    found = []
    for door in doors:
        try:
            found.append(door())
        except TfhealError as error:
            found.append(str(error))
    return found


def judged_by(one: TaskReply) -> dict[str, TaskReply]:
    """Return what a verification hears where each of its tasks says the same."""
    return dict.fromkeys((verify.LIST, verify.READ, verify.TOUCHED), one)


def framed(*lines: bytes) -> bytes:
    """Return lines of a true reply."""
    return b"".join(f"{MARKER} ".encode() + line + b"\n" for line in lines)


def of_a_task(status: int, out: object, err: object = "") -> bytes:
    """Return a task of a job that said these."""
    both = [packed(json.dumps(one).encode() if not isinstance(one, str) else one.encode()) for one in (out, err)]
    return b"task 0 %d %s %s" % (status, *both)


DOORS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "certificates": (
        framed(
            b"certificate a.example acme 1 2 yes 3 " + packed(b"why"), b"certificate a.example none 1 2 no 3", b"end"
        ),
        told_of_certificates,
    ),
    "a challenge": (framed(b"challenge " + b"a" * 43), lambda reply: certificates.challenge(reply, EDGE, MARKER)),
    "a renewal": (framed(b"done"), lambda reply: certificates.ended(reply, EDGE, MARKER)),
    "backends": (
        framed(b"note page.s1 1700000000 " + packed(b"ada"), b"process 7", b"stat " + packed(TABLE), b"end"),
        told_of_backends,
    ),
    "a drain": (framed(b"drained 3"), lambda reply: astuple(draining.ended(reply, EDGE, MARKER))),
    "a maintenance answer": (framed(b"open 503"), lambda reply: maintenance.answer(reply, EDGE, MARKER).answered),
    "passages": (
        framed(b"0 200 503", b"end"),
        lambda reply: [passage.fault(one, ()) for one in passage.passages(reply, (ROUTE,), MARKER)],
    ),
    "patches": (
        (
            b"charter Zm9yYmlkID0gWyJwYXRjaCJd\nup 7200\nreboot\nstate ok\nlists 3600\n"
            b"patch openssl 3.0.1 3.0.2 86400 no security secured taken-back\ndebsecan 5\n"
            b"open CVE-2026-0001 openssl fixed\nchangelog curl\ncloses CVE-2026-0002 curl\n"
        ),
        told_of_patches,
    ),
    "a patch": (
        framed(
            b"begun", b"changing", b"conffile /etc/x", f"boot {BOOT}".encode(), b"failed " + packed(b"no"), b"ended"
        ),
        lambda reply: [
            astuple(patching.report(reply, MARKER)),
            [patching.progress(line, MARKER) for line in reply.splitlines()],
        ],
    ),
    "a pause": (framed(b"done " + packed(b"it is so")), lambda reply: pausing.told(reply, MARKER)),
    "a lease": (framed(b"refused busy " + packed(b"ada")).strip(), lambda reply: str(lease.word(reply, MARKER))),
    "a job": (framed(of_a_task(0, SUMMARY), b"end"), told_of_a_job),
}
SAID: dict[str, tuple[str, str]] = {
    "a summary": (json.dumps(SUMMARY), ""),
    "snapshots": (json.dumps([SNAPSHOT]), ""),
    "an entry": (json.dumps(ENTRY), ""),
    "a complaint": ("", json.dumps({"message_type": "error", "error": {"message": "no room"}})),
    "how long it took": ("took 10.00 12.50", ""),
    "how far it is": (json.dumps(STATUS), ""),
    "keys": (json.dumps([{"id": ID, "current": False, "userName": "owner"}]), ""),
    "a touched file": (json.dumps({"snapshot": ID, "path": "/srv/a"}), ""),
}
WORTH: tuple[object, ...] = (
    None,
    -1,
    1e308,
    10**30,
    10**400,
    "",
    "\n",
    "\ud800\x1b",
    [],
    [[]],
    {},
    True,
    float("inf"),
    float("nan"),
)


@pytest.mark.parametrize("name", DOORS)
def test_any_word_may_be_a_lie(name: str) -> None:
    """And the truth is believed: it is what the lies are made of."""
    truth, door = DOORS[name]
    json.dumps(door(truth), allow_nan=False)
    for reply in lies(truth, HOWS):
        try:
            found = door(reply)
        except TfhealError:
            continue
        json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("status", [0, 1, 3])
def test_any_value_that_a_task_writes_may_be_a_lie(name: str, status: int) -> None:
    """Every value of its JSON in turn, as any kind of thing there is, and every poison in its place."""
    out, err = SAID[name]
    written = out or err
    spoiled = [poison.decode("utf-8", "replace") for poison in POISONS]
    spoiled += ["[" * 100_000, '{"a":' * 100_000, f'{{"snapshot": {"9" * 5_000}}}', f"took 0.0 {'9' * 400}.0"]
    if written[:1] in {"{", "["}:
        spoiled += [json.dumps(one) for one in changed(json.loads(written))]
    for text in (written, *spoiled):
        one = TaskReply(status, text if out else "", text if err else "")
        json.dumps(told_by_a_task(one), allow_nan=False)


def changed(true: object) -> list[object]:
    """Return what JSON says with each of its values in turn as something else."""
    if isinstance(true, dict):
        inner = [{**true, key: value} for key in true for value in (*WORTH, *changed(true[key]))]
        return [*inner, *({other: true[other] for other in true if other != key} for key in true)]
    if isinstance(true, list):
        return [
            [*true[:index], value, *true[index + 1 :]]
            for index in range(len(true))
            for value in (*WORTH, *changed(true[index]))
        ]
    return list(WORTH)
