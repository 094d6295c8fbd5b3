"""Deletion on real slices, and a slice that was broken into: whatever it adds, no good snapshot is lost."""

import json
from collections.abc import Iterator

import pytest
from backups import STORE, kept, pruned, stored, taken
from customer import Customer
from documents import document, findings
from running_lab import RunningLab
from thief import GARBAGE, Thief

pytestmark = pytest.mark.lab
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
# What names an old snapshot whenever it is to make a new one.
LIES = """\
real=$(command -v restic) && mv "$real" "$real.real" || exit
cat >"$real" <<END
#!/bin/sh
case " \\$* " in *" backup "*) echo '{said}' ;; *) exec $real.real "\\$@" ;; esac
END
chmod 0755 "$real"
"""
LIES_NO_MORE = "real=$(command -v restic) && mv $real.real $real"


@pytest.fixture(scope="module")
def backed(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have backups while the module lasts."""
    with kept(deployed):
        yield deployed


def test_a_prune_deletes_what_was_asked_and_nothing_where_a_thief_was(backed: RunningLab) -> None:
    """What is held is not forgotten; a poisoned index ends a prune with 7 and a call; mended, the one that was asked goes."""
    Customer.of(backed, "s1").put("kept", b"what the customer keeps\n" * 1_000)
    asked, good = (str(taken(backed)["id"]) for _ in range(2))
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
    listed = [one["id"] for one in document(backed, "backup", "list")["backups"]]
    assert (asked in listed, good in listed) == (False, True)
    assert f'"id":"{asked}","why":"the owner asked: GDPR"' in backed.on("s3", f"tail -n 1 {JOURNAL}")
    assert backed.on("s3", f"find {STORE} -user root") == "", "the slice's key reads all of it"


@pytest.mark.long
def test_whatever_a_thief_adds_no_good_snapshot_is_lost(backed: RunningLab) -> None:
    """What names an old snapshot has failed; forged dates change nothing that goes; a session held open is ended; bare restic would have lost what is good."""
    Customer.of(backed, "s1").put("kept", b"what the customer keeps\n" * 1_000)
    oldest, *rest = (str(taken(backed)["id"]) for _ in range(4))
    old = document(backed, "backup", "show", rest[0])["parts"][0]["snapshot"]
    said = {"message_type": "summary", "snapshot_id": old, "total_files_processed": 3, "total_bytes_processed": 100}
    backed.on("s1", LIES.format(said=json.dumps(said)))
    try:
        assert "an earlier backup made" in str(taken(backed, "failed", check=5)["parts"])
    finally:
        backed.on("s1", LIES_NO_MORE)
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
    held = backed.on("s1", "cat /root/scratch/srv/tfheal/files/web/files/kept; rm -rf /root/scratch")
    assert held == "what the customer keeps\n" * 1_000

    gone = document(backed, "backup", "show", rest[0])["parts"][0]["snapshot"]
    backed.on("s3", f"mv {STORE}/snapshots/{gone} /root/gone")
    document(backed, "backup", "forget", rest[1], "--why", "GDPR", "--yes")
    done = pruned(backed, check=7)
    assert (done["state"], "is gone" in str(findings_of(backed))) == ("damaged", True)
    backed.on("s3", f"mv /root/gone {STORE}/snapshots/{gone}")
    assert pruned(backed)["backups"] == [rest[1]]


def findings_of(backed: RunningLab) -> list[str]:
    """Return what is said of each finding."""
    return [finding["detail"] for finding in document(backed, "status", check=None)["findings"]]


@pytest.mark.long
def test_a_key_opens_the_repositories_of_its_own_app_alone(backed: RunningLab) -> None:
    """With the key and password of one app nobody gets to the store of another, which lies on the same machine."""
    here = backed.workspace / "apps"
    other = (here / "files.yaml").read_text().replace("app: files", "app: notes").replace("web: [s1]", "web: [s2]")
    (here / "notes.yaml").write_text(other)
    try:
        taken(backed)
        backed.run("deploy", "notes")
        assert document(backed, "backup", "run", "notes")["backups"][0]["state"] == "good"
        thief = Thief(backed, "s1", "s3")
        said = thief.does("repository snapshots 2>&1", user="tf-notes-store", check=None)
        assert "Permission denied" in said, said
        theirs = "sftp:$store:/srv/tfheal/notes/store/s2"
        words = (
            f'timeout 20 restic -r {theirs} -o sftp.command="ssh $options $store -s sftp" -p password snapshots 2>&1'
        )
        said = thief.does(words, check=None)
        assert "unable to start the sftp session" in said, said
        assert thief.does("repository snapshots --json") != "[]"
    finally:
        backed.run("remove", "notes", "--data", "--backups", "--yes", check=None)
        (here / "notes.yaml").unlink()
