"""Deletion on real slices, and a slice that was broken into: whatever it adds, no good snapshot is lost."""

from collections.abc import Iterator

import pytest
from customer import Customer
from documents import document, findings
from running_lab import RunningLab
from thief import GARBAGE, Thief

pytestmark = pytest.mark.lab
STORE = "/srv/tfheal/files/store/s1"
OWN_HEAL = "heal: {reflex: off}\n"
BACKUP = "backup: {to: s3, every: 1h, grace: 0s, keep: {hourly: 0, daily: 0, weekly: 0, monthly: 0}}\n"
JOURNAL = "/var/log/tfheal/journal.jsonl"
PRUNED = "restic -r /root/copy --no-cache -p /root/word"
# What restic alone makes of it: on a copy, as often as it takes until the good pack is the one that it deletes.
BARE = """\
umask 077; printf %s '{word}' >/root/word
for turn in 1 2 3 4 5 6; do
  rm -rf /root/copy; cp -a {store} /root/copy
  {restic} prune >/dev/null 2>&1; echo "prune $?"
  [ -e /root/copy/data/*/{pack} ] || break
done
{restic} check --read-data >/dev/null 2>&1; echo "check $?"
rm -rf /root/copy /root/word
"""


@pytest.fixture(scope="module")
def backed(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have the example's backups go to s3 by rules that keep the floor alone, and take all of that away after the tests."""
    spec = deployed.workspace / "apps" / "files.yaml"
    before = spec.read_text()
    spec.write_text(f"{before.replace(OWN_HEAL, '')}{BACKUP}{OWN_HEAL}")
    deployed.run("deploy", "files")
    yield deployed
    deployed.run("remove", "files/store@s3", "--backups", "--yes")
    spec.write_text(before)
    deployed.run("deploy", "files")


def taken(backed: RunningLab) -> str:
    """Make a backup, see that it is good, and return its id."""
    (made,) = document(backed, "backup", "run")["backups"]
    assert made["state"] == "good", made
    return str(made["id"])


def pruned(backed: RunningLab, check: int | None = 0) -> dict[str, object]:
    """Delete what may go, and return what became of it."""
    (app,) = document(backed, "backup", "prune", "files", "--yes", check=check)["apps"]
    return dict(app)


def stored(backed: RunningLab) -> set[str]:
    """Return the files of the repository."""
    return set(backed.on("s3", f"cd {STORE} && find . -type f ! -path './locks/*'").split())


def test_a_prune_deletes_what_was_asked_and_nothing_where_a_thief_was(backed: RunningLab) -> None:
    """What is held is not forgotten; a poisoned index ends a prune with 7 and a call; mended, the one that was asked goes."""
    Customer.of(backed, "s1").put("kept", b"what the customer keeps\n" * 1_000)
    asked, good = taken(backed), taken(backed)
    document(backed, "backup", "hold", asked)
    refused = backed.run("backup", "forget", asked, "--why", "GDPR", "--yes", check=6).stderr
    assert f"tfheal backup hold {asked} --release" in refused
    document(backed, "backup", "hold", asked, "--release")
    assert document(backed, "backup", "forget", asked, "--why", "GDPR", "--yes")["state"] == "forgotten"
    assert document(backed, "backup", "prune", "files", "--plan", check=3)["apps"][0]["going"] == [asked]

    before = stored(backed)
    Thief(backed, "s1", "s3").poisons()
    poison = stored(backed) - before
    pages = backed.workspace / "pages.jsonl"
    called = pages.read_text().count("backup-damaged") if pages.exists() else 0
    done = pruned(backed, check=7)
    assert (done["state"], "damaged" in str(done["detail"])) == ("damaged", True), done
    assert (stored(backed), len(poison)) == (before | poison, 2 * GARBAGE), "nothing was removed"
    assert pages.read_text().count("backup-damaged") == called + 1

    backed.on("s3", f"cd {STORE} && rm {' '.join(poison)}")
    done = pruned(backed)
    assert (done["state"], done["backups"]) == ("done", [asked])
    assert document(backed, "backup", "show", asked)["state"] == "erased"
    assert [one["id"] for one in document(backed, "backup", "list")["backups"]] == [good]
    assert f'"id":"{asked}","why":"the owner asked: GDPR"' in backed.on("s3", f"tail -n 1 {JOURNAL}")
    assert backed.on("s3", f"find {STORE} -user root") == "", "the slice's key reads all of it"


@pytest.mark.long
def test_whatever_a_thief_adds_no_good_snapshot_is_lost(backed: RunningLab) -> None:
    """Forged dates change nothing that goes; a session held open is ended; bare restic would have lost what is good."""
    Customer.of(backed, "s1").put("kept", b"what the customer keeps\n" * 1_000)
    oldest, *rest = (taken(backed) for _ in range(4))
    thief = Thief(backed, "s1", "s3")
    thief.does('for year in 1971 2099; do repository backup -q --host s1 --time "$year-01-01 00:00:00" password; done')
    before = stored(backed)
    pack = thief.poisons()
    poison = stored(backed) - before
    bare = backed.on("s3", BARE.format(word=thief.password(), store=STORE, restic=PRUNED, pack=pack))
    assert bare.endswith("prune 0\ncheck 1\n"), "restic alone deletes what is good, and says that all is well"
    backed.on("s3", f"cd {STORE} && rm {' '.join(poison)}")

    holds = '(sleep 100 | ssh $options "$store") >/dev/null 2>&1 & sleep 2; kill -0 $! && echo held'
    assert thief.does(holds).strip() == "held"
    going = document(backed, "backup", "prune", "files", "--plan", check=3)["apps"][0]["going"]
    assert oldest in going
    assert not set(going) & set(rest)
    assert pruned(backed)["state"] == "done"
    (app,) = document(backed, "backup", "rescan", check=3)["apps"]
    assert sorted(one["time"][:4] for one in app["unknown"]) == ["1971", "2099"]
    assert "backup-unknown" in findings(document(backed, "status", check=None))
    backed.run("restore", "files", "--scratch", "/root/scratch")
    kept = backed.on("s1", "cat /root/scratch/srv/tfheal/files/web/files/kept; rm -rf /root/scratch")
    assert kept == "what the customer keeps\n" * 1_000
