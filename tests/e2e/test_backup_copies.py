"""A second store: good backups are copied there, what is deleted goes there too, and it takes the place of the first."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from documents import document, findings
from running_lab import RunningLab
from sheets import follow

pytestmark = [pytest.mark.lab, pytest.mark.long]
FILES = "/srv/tfheal/files/web/files"
COPIES = "/srv/tfheal/files/store/s1/snapshots"
CUT = """\
nft add table inet tfheal_test
nft add chain inet tfheal_test out '{{ type filter hook output priority 0; }}'
nft add rule inet tfheal_test out ip6 daddr {address} tcp dport 22 drop
"""
KEEP = "every: 1h, grace: 0s, keep: {hourly: 0, daily: 0, weekly: 0, monthly: 0}"


@pytest.fixture
def copied(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have the example's backups go to s2, and copies to s3; take all of that away after the test."""
    spec = deployed.workspace / "apps" / "files.yaml"
    before = spec.read_text()
    spec.write_text(f"{before}backup: {{to: s2, copy_to: s3, {KEEP}}}\n")
    deployed.run("deploy", "files")
    yield deployed
    for store in ("s2", "s3"):
        deployed.run("remove", f"files/store@{store}", "--backups", "--yes", check=None)
    spec.write_text(before)
    deployed.run("deploy", "files")


def taken(lab: RunningLab, check: int = 0) -> dict[str, str]:
    """Make a backup, see that it is good, and return what is said of it."""
    (made,) = document(lab, "backup", "run", check=check)["backups"]
    assert made["state"] == "good", made
    return dict(made)


def aged(lab: RunningLab) -> None:
    """Have the copies be of a long time ago, as far as the journal knows."""
    with closing(sqlite3.connect(lab.workspace / ".tfheal/journal.db")) as journal, journal:
        journal.execute("UPDATE copied SET reached = '2020-01-01T00:00:00.000000Z'")


def assert_that_the_owner_opens_both(lab: RunningLab) -> None:
    """Demand that the owner has a key of its own to the copies too, and that a part of the sheet is of them."""
    made = document(lab, "backup", "owner-key", "files")
    assert list(made["repositories"]) == ["s1", "s1@s3"]
    sheets = made["sheet"].split("RECOVERY SHEET")[1:]
    for store, sheet in zip(("s2", "s3"), sheets, strict=True):
        word = next(line.split()[2].strip("'") for line in sheet.splitlines() if ">password-s1" in line)
        opens = f"umask 077; echo '{word}' >/root/word; restic -r {COPIES.removesuffix('/snapshots')} -p /root/word cat config"
        assert '"id"' in lab.on(store, f"{opens}; rm /root/word")
    assert "This sheet is of the copies, on the second store s3" in sheets[1]


def assert_that_rot_of_a_copy_is_told(lab: RunningLab) -> None:
    """Demand that a copy is read like the first store: what is spoilt there is said of that store, and the first one stays sound."""
    both = {one["slice"]: one["sound"] for one in document(lab, "backup", "verify", "files", "--full")["repositories"]}
    assert both == {"s1": True, "s1@s3": True}
    pack = lab.on("s3", f"find {COPIES.removesuffix('/snapshots')}/data -type f -size +1k | head -n 1").strip()
    lab.on("s3", f"cp -a {pack} /root/pack && printf x | dd of={pack} bs=1 seek=100 conv=notrunc status=none")
    both = {
        one["slice"]: one["sound"]
        for one in document(lab, "backup", "verify", "files", "--full", check=7)["repositories"]
    }
    assert both == {"s1": True, "s1@s3": False}
    told = [one for one in document(lab, "status", check=None)["findings"] if one["finding"] == "backup-damaged"]
    assert [one["slice"] for one in told] == ["s3"]
    lab.on("s3", f"cp -a /root/pack {pack}")
    document(lab, "backup", "verify", "files", "--full")


def assert_that_a_copy_mends_the_first_store(lab: RunningLab) -> None:
    """Demand that what is spoilt on the first store and live no more comes from the copy, and that nothing is there twice."""
    first, there = COPIES.removesuffix("/snapshots"), f"ls {COPIES}"
    lab.on("s1", f"head -c 3000000 /dev/urandom >{FILES}/gone")
    taken(lab)
    lab.on("s1", f"rm {FILES}/gone")
    taken(lab)
    before = [lab.on(store, there).split() for store in ("s2", "s3")]
    packs = f"find {first}/data -type f -printf '%s %p\\n' | sort -n | cut -d ' ' -f 2"
    lab.on(
        "s2",
        f"for pack in $({packs} | tail -n 2); do printf rot | dd of=$pack bs=1 seek=1000 conv=notrunc status=none; done",
    )
    lab.on("s2", f"rm $({packs} | head -n 1)")
    document(lab, "backup", "verify", "files", "--full", check=7)
    repaired = document(lab, "backup", "verify", "files", "--repair")["repositories"]
    assert {one["slice"]: one["sound"] for one in repaired} == {"s1": True, "s1@s3": True}
    after = [lab.on(store, there).split() for store in ("s2", "s3")]
    assert set(before[0]) < set(after[0])
    assert [len(one) for one in after] == [len(one) + 1 for one in before], "the new backup and its copy, no more"


def test_the_second_store_takes_the_place_of_the_first(copied: RunningLab) -> None:
    """It has every good backup and no erased one, no slice has a key to it, and from it all comes back."""
    keys = "cat /opt/tfheal/files/store/.ssh/authorized_keys"
    public = copied.run("secret", "show", "files", "backup_public_s1").stdout.strip()
    assert (public in copied.on("s2", keys), public in copied.on("s3", keys)) == (True, False)

    copied.on("s1", f"head -c 1000000 /dev/urandom >{FILES}/random")
    sums = copied.on("s1", f"cd {FILES} && sha256sum random")
    first = taken(copied)
    assert_that_the_owner_opens_both(copied)
    address = copied.address("s3")
    copied.on("s2", CUT.format(address=address))
    aged(copied)
    assert "the store cannot be reached" in taken(copied, 5)["uncopied"]
    late = [one["detail"] for one in document(copied, "status", check=3)["findings"] if one["finding"] == "copy-late"]
    assert [("newest backup on s3" in one, "cannot be reached" in one) for one in late] == [(True, True)]
    copied.on("s2", "nft delete table inet tfheal_test")
    taken(copied)
    assert "copy-late" not in findings(document(copied, "status", check=None))
    assert len(copied.on("s3", f"ls {COPIES}").split()) == 3, "what could not be copied then is copied now"

    assert_that_rot_of_a_copy_is_told(copied)
    assert_that_a_copy_mends_the_first_store(copied)
    document(copied, "backup", "forget", first["id"], "--why", "asked by mail", "--yes")
    document(copied, "backup", "prune", "files", "--yes")
    taken(copied)
    left = copied.on("s2", f"ls {COPIES}").split()
    assert len(copied.on("s3", f"ls {COPIES}").split()) == len(left), "what is erased is erased there too"

    spec = copied.workspace / "apps" / "files.yaml"
    spec.write_text(spec.read_text().replace("to: s2, copy_to: s3", "to: s3"))
    copied.run("remove", "files/store@s2")
    copied.on("s2", "rm -rf /srv/tfheal/files/store")
    copied.run("deploy", "files")
    (found,) = document(copied, "backup", "rescan", "files")["apps"]
    assert (found["carried"], found["unknown"]) == (len(left), [])
    copied.on("s1", f"rm {FILES}/random")
    copied.run("restore", "files", "--yes")
    assert copied.on("s1", f"cd {FILES} && sha256sum random") == sums
    assert document(copied, "backup", "verify", "files", "--full")["repositories"][0]["sound"]
    assert int(taken(copied)["added"]) < 100_000, "the next one goes on from there"
    copied.on("s1", f"rm -rf {FILES}/random /srv/tfheal/files/web.before-*")


def test_what_a_left_slice_stored_is_found_on_the_second_store_too(copied: RunningLab) -> None:
    """The app moved away from s1, then the first store was lost: what was taken on s1 is in the copies."""
    spec = copied.workspace / "apps" / "files.yaml"
    taken(copied)
    first, secrets = spec.read_text(), copied.workspace / "secrets" / "files.age"
    sealed = secrets.read_bytes()
    spec.write_text(first.replace("to: s2, copy_to: s3", "to: s3").replace("web: [s1]", "web: [s2]"))
    copied.run("remove", "files/web@s1")
    copied.run("remove", "files/store@s2")
    copied.on("s2", "rm -rf /srv/tfheal/files/store")
    try:
        copied.run("deploy", "files")
        (found,) = document(copied, "backup", "rescan", "files")["apps"]
        assert (found["carried"], found["unknown"]) == (1, []), found
    finally:
        copied.run("remove", "files/web@s2", "files/store@s3", "--data", "--backups", "--yes", check=None)
        spec.write_text(first)
        secrets.write_bytes(sealed)  # with what opens a repository of s2 that would be asked for it from now on


@pytest.fixture
def login(copied: RunningLab) -> Iterator[None]:
    """Let root of s1 log in on both stores, as the owner does."""
    copied.on("s1", "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    public = copied.on("s1", "cat /root/.ssh/id_ed25519.pub").strip()
    for store in ("s2", "s3"):
        copied.on(store, f"cp /root/.ssh/authorized_keys /root/before && echo '{public}' >>/root/.ssh/authorized_keys")
    yield
    for store in ("s2", "s3"):
        copied.on(store, "mv /root/before /root/.ssh/authorized_keys")
    copied.on("s1", "rm -rf /root/first /root/copies /root/.ssh/id_ed25519 /root/.ssh/id_ed25519.pub")


@pytest.mark.usefixtures("login")
def test_the_provider_is_shut_out_of_the_copies_too(copied: RunningLab) -> None:
    """While one of the two opens by our password nothing is deleted; the owner's new passwords open both."""
    folders = {"/root/first": "s2", "/root/copies": "s3"}
    taken(copied)
    sheets = document(copied, "backup", "owner-key", "files")["sheet"].split("RECOVERY SHEET")[1:]
    for sheet, folder in zip(sheets, folders, strict=True):
        follow(copied, sheet, "s1", folder)
    asked = document(copied, "backup", "revoke-provider", "files", check=3)
    assert (asked["tried"], asked["opening"]) == ({"s1": 1, "s1@s3": 1}, ["s1", "s1@s3"])
    first, copies = asked["guide"].split("The copies, on the second store s3")
    follow(copied, first, "s1", "/root/first")
    asked = document(copied, "backup", "revoke-provider", "files", check=3)
    assert (asked["opening"], "The copies, on the second store s3" in asked["guide"]) == (["s1@s3"], True)
    follow(copied, copies, "s1", "/root/copies")
    done = document(copied, "backup", "revoke-provider", "files")
    assert (done["tried"], done["opening"]) == ({"s1": 1, "s1@s3": 1}, [])
    document(copied, "backup", "revoke-provider", "files", check=6)
    for folder, store in folders.items():
        word = copied.on("s1", f"cat {folder}/new-password-s1").strip()
        opens = f"umask 077; echo '{word}' >/root/word; restic -r {COPIES.removesuffix('/snapshots')} -p /root/word"
        assert '"original"' in copied.on(store, f"{opens} snapshots --json; rm /root/word")
