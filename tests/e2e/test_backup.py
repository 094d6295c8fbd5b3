"""Backups on real slices: taken, lost, brought back; and a slice that was broken into gets nowhere."""

import subprocess
import time
import tomllib
from collections.abc import Iterator
from datetime import timedelta

import pyrage
import pytest
from backups import secret, unseen, written
from customer import Customer
from documents import actions, document, findings
from running_lab import RunningLab
from sheets import follow

from tfheal.core.stores import key_name, password_name
from tfheal.edge.clock import SystemClock
from tfheal.model.window import WEEK

pytestmark = pytest.mark.lab
DATA = "/srv/tfheal/files/web"
UNIT = "tfheal-files-web.service"
OWN_HEAL = "heal: {reflex: off}\n"
HEAL = "heal: {reflex: off, allow: [restart, free-disk, redeploy, rollback, rebuild, recreate, restore, page]}\n"
KEPT = "/srv/tfheal/files/store/s1/snapshots"
SEALED = "/srv/tfheal/files/store/catalogue.age"
OWNERS = "/root/owner"  # on s2
MORE = 3_000_000
STEPS = ["room", "restore", "read", "start web", "ready web", "consistent web"]
# A restic that is ended by its time-out leaves a lock behind, which the next backup has to get over.
# What a thief tries who has root on the slice, and the very key and password of its backups.
THIEF = """\
umask 077; mkdir -p /root/thief; cd /root/thief
printf %s '{password}' >password
cat >key <<'END'
{key}END
options='-F /dev/null -T -i key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'
store='tf-files-store@{address}'
repository() {{ timeout 8 restic -r rclone: -o "rclone.program=ssh $options $store" -p password "$@"; }}
echo "passwd: $(ssh $options "$store" 'cat /etc/passwd' </dev/null 2>&1 | grep -c root:)"
echo "forward: $(ssh $options -W localhost:22 "$store" </dev/null 2>&1 | grep -c SSH-2.0)"
snapshot=$(repository snapshots --json | grep -o '"id":"[0-9a-f]*"' | head -n 1 | cut -d '"' -f 4)
echo "snapshot: $snapshot"
repository forget "$snapshot" 2>&1 | head -n 2
cd /; rm -rf /root/thief
"""


@pytest.fixture(scope="module")
def backed(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have the example's backups go to s3, and take all of that away after the tests."""
    spec = deployed.workspace / "apps" / "files.yaml"
    before = spec.read_text()
    spec.write_text(f"{before.replace(OWN_HEAL, '')}backup: {{to: s3, every: 1h}}\n{HEAL}")
    deployed.run("deploy", "files")
    yield deployed
    deployed.run("remove", "files/store@s3", "--backups", "--yes")
    spec.write_text(before)
    deployed.run("deploy", "files")


@pytest.fixture
def shelf(backed: RunningLab) -> Customer:
    """Return a customer of the example."""
    return Customer.of(backed, "s1")


@pytest.fixture
def login(backed: RunningLab) -> Iterator[None]:
    """Let root of s2, on which nothing of ours is, log in on the store, as the owner does from a machine of the own."""
    backed.on("s2", f"mkdir {OWNERS} && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    public = backed.on("s2", "cat /root/.ssh/id_ed25519.pub").strip()
    backed.on("s3", f"cp /root/.ssh/authorized_keys /root/before && echo '{public}' >>/root/.ssh/authorized_keys")
    yield
    backed.on("s3", "mv /root/before /root/.ssh/authorized_keys")
    backed.on("s2", f"rm -rf {OWNERS} /root/.ssh/id_ed25519 /root/.ssh/id_ed25519.pub")


def taken(backed: RunningLab) -> dict[str, object]:
    """Make a backup, see that it is good, and return it."""
    (made,) = document(backed, "backup", "run")["backups"]
    assert made["state"] == "good", made
    return dict(made)


def address(backed: RunningLab, name: str) -> str:
    """Return the address of a slice."""
    return str(tomllib.loads((backed.workspace / "inventory.toml").read_text())["slices"][name]["address"])


def assert_that_a_drill_waits(backed: RunningLab) -> None:
    """While its window is closed a tick makes no drill, and says till when; so does status, which is as well as before."""
    settings = backed.workspace / "tfheal.toml"
    before, opens = settings.read_text(), SystemClock().now() + timedelta(days=2)
    day = WEEK[opens.weekday()]
    settings.write_text(f'{before}[window]\ndays = ["{day}"]\nstart = "{opens:%H:%M}"\nduration = "1h"\n')
    try:
        done = document(backed, "tick")
        seen = document(backed, "status")
    finally:
        settings.write_text(before)
    until = f"{opens:%Y-%m-%dT%H:%M}:00Z"
    assert "drill" not in done["parts"]
    assert done["waiting"] == [{"app": "files", "what": "drill", "until": until}]
    (told,) = [one["detail"] for one in seen["findings"] if one["finding"] == "waiting"]
    assert until in told


def test_what_is_lost_comes_back(backed: RunningLab, shelf: Customer) -> None:
    """Write, back up, write more, back up only that, drill it, lose all of it; heal restores it, and it is read back."""
    backed.on("s1", f"cd {DATA}/files && head -c {MORE} /dev/urandom >random && chown --reference=. random")
    first = taken(backed)
    shelf.put("two", b"written later\n" * 1_000)
    word = secret(backed, password_name("s1"))
    with unseen(backed, "s1", word):
        second = taken(backed)
    assert int(str(first["added"])) > MORE > 10 * int(str(second["added"]))
    ages = document(backed, "status")["apps"][0]["backup"]
    assert ages["taken"] == ages["complete"] < 300

    live = f"cd {DATA} && find . -type f ! -path './state/*' -exec sha256sum {{}} + | sort; systemctl show -p MainPID {UNIT}"
    before = backed.on("s1", live)
    assert_that_a_drill_waits(backed)
    (drill,) = document(backed, "backup", "drill")["drills"]
    assert (drill["state"], drill["backup"]) == ("passed", second["id"]), drill
    assert [step["step"] for step in drill["steps"]] == STEPS
    spent = sum(step["seconds"] for step in drill["steps"])
    assert spent <= drill["seconds"] < spent + 15, "the steps are nearly all of it; the rest is the way there and back"
    assert backed.on("s1", live) == before, "a drill changes nothing that is live"
    assert "drill" not in backed.on("s1", "ls -A /srv/tfheal /run/systemd/system"), "nothing of it is left"
    ages = document(backed, "status")["apps"][0]["backup"]
    assert ages["drilled"] < 300
    assert (ages["rto"], [step["step"] for step in ages["rto_steps"]]) == (round(drill["seconds"]), STEPS)

    sums = backed.on("s1", f"cd {DATA}/files && sha256sum two random")
    backed.on("s1", f"rm -rf {DATA}")
    assert "data-missing" in findings(document(backed, "status", check=7))
    healed = document(backed, "heal", "--auto")
    (rung,) = [one for incident in healed["incidents"] for one in incident["actions"]]
    assert (rung["rung"], rung["outcome"]) == ("restore", "done"), rung
    assert f"from backup {second['id']}; what was written since {second['started']}" in rung["detail"], rung
    assert backed.on("s1", f"cd {DATA}/files && sha256sum two random") == sums
    assert shelf.get("two") == b"written later\n" * 1_000
    assert document(backed, "status")["health"] == "healthy"

    assert written(backed, "s1", word) == "0\n", "what opens the repository stays in memory"


def test_a_wiped_slice_comes_back_with_its_data(backed: RunningLab, shelf: Customer) -> None:
    """Another machine answers there: it is made anew, waits for its data, and serves it; what is lost is said before."""
    shelf.put("three", b"written before\n" * 1_000)
    last = taken(backed)
    backed.do("break", "s1", "wipe-slice")
    lost = f"files/web@s1: from backup {last['id']}; what was written since {last['started']}"
    (planned,) = document(backed, "heal", "--plan", check=3)["plan"]
    assert planned["rung"] == "recreate"
    assert lost in planned["why"]
    healed = document(backed, "heal", "--auto")
    assert actions(healed) == [("recreate", "done"), ("restore", "done")], healed
    (anew,) = [one for one in document(backed, "history")["actions"] if one["what"] == "recreate"]
    assert lost in anew["why"]
    assert shelf.get("three") == b"written before\n" * 1_000
    assert backed.on("s1", f"systemctl is-enabled {UNIT}") == "enabled\n"
    assert document(backed, "status")["health"] == "healthy"


def test_a_slice_that_was_broken_into_deletes_nothing(backed: RunningLab) -> None:
    """With root and the credentials of a slice there is no shell, no way to other ports, and no delete."""
    if not backed.on("s3", f"ls {KEPT}", check=None):
        taken(backed)
    before = backed.on("s3", f"ls {KEPT}")
    key, word = (secret(backed, name("s1")) for name in (key_name, password_name))
    said = backed.on("s1", THIEF.format(key=key, password=word, address=address(backed, "s3")))
    assert "passwd: 0\nforward: 0\n" in said
    tried = said.partition("snapshot: ")[2].split()[0]
    assert tried in before.split(), "what it may read it does read: the way is open, to that one folder"
    assert "403 Forbidden" in said, said
    assert backed.on("s3", f"ls {KEPT}") == before


@pytest.mark.usefixtures("login")
def test_the_owner_needs_no_tfheal(backed: RunningLab, shelf: Customer) -> None:
    """The sheet's commands, run as they stand on a machine that never saw tfheal, bring everything back; a new key ends it."""
    shelf.put("mine", b"the owner's\n" * 1_000)
    taken(backed)
    follow(backed, document(backed, "backup", "owner-key", "files")["sheet"], "s2", OWNERS)
    sums = "find . -type f ! -path './state/*' | sort | xargs -d '\\n' sha256sum"
    assert backed.on("s2", f"cd {OWNERS}/restored/s1{DATA} && {sums}") == backed.on("s1", f"cd {DATA} && {sums}")
    document(backed, "backup", "owner-key", "files", check=6)

    identity = pyrage.x25519.Identity.generate()
    inventory = backed.workspace / "inventory.toml"
    written = inventory.read_text()
    inventory.write_text(written.replace("[owners.lab]\n", f'[owners.lab]\nrecipient = "{identity.to_public()}"\n'))
    sealed = backed.run("backup", "owner-key", "files", "--new").stdout
    inventory.write_text(written)
    sheet = pyrage.decrypt(sealed.encode(), [identity]).decode()
    assert "restic -o" in sheet
    assert "restic -o" not in sealed
    (former, new) = (line.strip() for line in sheet.splitlines() if "password-s1" in line)
    opens = f'{new}; restic -o "sftp.args=-o StrictHostKeyChecking=no" cat config >/dev/null 2>&1; echo $?'
    assert backed.on("s2", f"cd {OWNERS}; {opens}") == "12\n", "the former key opens nothing any more"
    assert backed.on("s2", f"cd {OWNERS}; {former}; {opens}") == "0\n"


@pytest.mark.long
def test_the_catalogue_comes_back_from_the_store(backed: RunningLab) -> None:
    """Without `.tfheal/` the backups are known again, by what only we can have written; what a thief added is told of."""
    taken(backed)
    before = [one["id"] for one in document(backed, "backup", "list")["backups"]]
    key, word = (secret(backed, name("s1")) for name in (key_name, password_name))
    adds = THIEF.format(key=key, password=word, address=address(backed, "s3")).partition("echo")[0]
    backed.on(
        "s1", f"{adds}repository backup --quiet --host s1 --time '2099-01-01 00:00:00' password; rm -rf /root/thief"
    )
    kept, aside = backed.workspace / ".tfheal", backed.workspace / "aside"
    aside.mkdir()
    for path in kept.glob("journal.db*"):
        path.rename(aside / path.name)
    try:
        assert document(backed, "backup", "list")["backups"] == []
        (found,) = document(backed, "backup", "rescan", check=3)["apps"]
        assert (found["learned"], len(found["unknown"])) == (len(before), 1)
        assert found["unknown"][0]["paths"] == ["/root/thief/password"]
        assert [one["id"] for one in document(backed, "backup", "list")["backups"]] == before
    finally:
        for path in kept.glob("journal.db*"):
            path.unlink()
        for path in aside.iterdir():
            path.rename(kept / path.name)
    backed.on("s3", f"echo forged >{SEALED}")
    assert "is kept as catalogue.age.unread-" in backed.run("backup", "run").stderr
    assert backed.on("s3", f"cat {SEALED}.unread-*") == "forged\n"
    document(backed, "backup", "rescan", check=3)


@pytest.mark.long
def test_an_older_one_is_restored_by_its_id(backed: RunningLab, shelf: Customer) -> None:
    """A file that was spoilt comes back from the backup that is named; what was live is kept beside; one file by --scratch."""
    shelf.put("one", b"right")
    good = str(taken(backed)["id"])
    shelf.put("one", b"spoilt")
    plan = document(backed, "restore", "files", "--snapshot", good, "--plan")
    assert plan["instances"] == [{"instance": "files/web@s1", "folders": [DATA], "dumps": [], "replayed": False}]
    assert shelf.get("one") == b"spoilt", "a plan changes nothing"

    path = f"{DATA}/files/one"
    document(backed, "restore", "files", "--snapshot", good, "--scratch", "/root/scratch", "--path", path)
    assert (backed.on("s1", f"cat /root/scratch{path}"), shelf.get("one")) == ("right", b"spoilt")
    missing = document(backed, "restore", "files", "--scratch", "/root/none", "--path", "/srv/none", check=5)
    assert missing["outcomes"][0]["outcome"] == "nothing of /srv/none is in it"
    listed = document(backed, "backup", "ls", good, f"{DATA}/files")["parts"]["folders@s1"]
    assert path in {entry["path"] for entry in listed}

    document(backed, "restore", "files", "--snapshot", good, "--yes")
    assert shelf.get("one") == b"right"
    assert backed.on("s1", f"cat {DATA}.before-*/files/one") == "spoilt"
    backed.on("s1", f"rm -rf {DATA}.before-* /root/scratch")


@pytest.mark.long
def test_what_does_not_run_with_it_gets_back_what_it_had(backed: RunningLab, shelf: Customer) -> None:
    """A backup of data without its mark is put in place, is not consistent, and is undone: the service serves what it had."""
    shelf.put("one", b"live")
    good = str(taken(backed)["id"])
    backed.on("s1", f"mv {DATA}/.tfheal /root/mark")
    try:
        bad = str(taken(backed)["id"])
    finally:
        backed.on("s1", f"mv /root/mark {DATA}/.tfheal")
    (drill,) = document(backed, "backup", "drill", check=7)["drills"]
    assert (drill["state"], drill["backup"], drill["steps"][-1]["step"]) == ("damaged", bad, "consistent web")
    assert "drill-failed" in findings(document(backed, "status", check=3))
    plan = document(backed, "restore", "files", "--plan")
    assert (plan["backup"], plan["passed_over"]) == (good, [bad])
    document(backed, "restore", "files", "--snapshot", bad, "--yes", check=5)
    assert shelf.get("one") == b"live"
    assert document(backed, "status", check=3)["health"] == "healthy"
    assert backed.on("s1", "ls -A /srv/tfheal/files") == "web\n"
    taken(backed)
    assert document(backed, "backup", "drill")["drills"][0]["state"] == "passed"


@pytest.mark.long
def test_a_store_out_of_reach_is_said_soon(backed: RunningLab) -> None:
    """It takes less than half a minute; who comes meanwhile is told who holds the lease; a killed run is read to its end."""
    table = "inet tfheal_test"
    drop = f"nft add rule {table} out ip6 daddr {address(backed, 's3')} drop"
    backed.on(
        "s1", f"nft add table {table}; nft add chain {table} out '{{ type filter hook output priority 0; }}'; {drop}"
    )
    words = backed.command("backup", "run", "--json")
    try:
        begun = time.monotonic()
        first = subprocess.Popen(words, cwd=backed.workspace, stdout=subprocess.PIPE, text=True)
        time.sleep(5)
        second = document(backed, "backup", "run", check=6)["backups"][0]
        assert "`backup run`" in second["refused"]
        waits = backed.command("deploy", "files")
        deploying = subprocess.Popen(waits, cwd=backed.workspace, stderr=subprocess.PIPE, text=True)
        out, _ = first.communicate(timeout=60)
        assert time.monotonic() - begun < 30
        assert (first.returncode, "the store cannot be reached" in out) == (5, True), out
        _, said = deploying.communicate(timeout=60)
        assert (deploying.returncode, "waiting until `backup run` of" in said) == (0, True), said
        with subprocess.Popen(words, cwd=backed.workspace, stdout=subprocess.DEVNULL) as killed:
            time.sleep(6)
            killed.kill()
    finally:
        backed.on("s1", f"nft delete table {table}")
    taken(backed)
    states = [one["state"] for one in document(backed, "backup", "list")["backups"]]
    assert "running" not in states


def test_bit_rot_is_found_told_once_and_names_what_it_touches(backed: RunningLab) -> None:
    """A byte turns over in the store: `verify` ends with 7, names the file, calls a human once, and removes nothing."""
    backed.on("s1", f"cd {DATA}/files && head -c {MORE} /dev/urandom >rotten && chown --reference=. rotten")
    taken(backed)
    assert document(backed, "backup", "verify", "files")["repositories"][0]["sound"] is True
    pages = backed.workspace / "pages.jsonl"
    before = pages.read_text().count("backup-damaged") if pages.exists() else 0
    pack = backed.on("s3", f"find {KEPT}/../data -type f -size +1M | head -n 1").strip()
    backed.on("s3", f"cp -a {pack} /root/pack && printf rot | dd of={pack} bs=1 seek=500000 conv=notrunc 2>&1")
    try:
        stored = backed.on("s3", f"find {KEPT}/.. -type f | sort")
        for _ in range(2):
            (found,) = document(backed, "backup", "verify", "files", "--full", check=7)["repositories"]
        assert any(line.startswith(f"{DATA}/files/") and " in snapshot " in line for line in found["touched"]), found
        assert pages.read_text().count("backup-damaged") == before + 1
        assert "backup-damaged" in findings(document(backed, "status", check=None))
        assert backed.on("s3", f"find {KEPT}/.. -type f | sort") == stored
        (mended,) = document(backed, "backup", "verify", "files", "--repair")["repositories"]
        assert (mended["sound"], mended["payload"]) == (True, "all"), "what is live has the same bytes"
        assert "damaged" not in backed.on("s3", f"ls {KEPT}/.. {KEPT}/../../")
        document(backed, "restore", "files", "--yes")
    finally:
        backed.on("s3", "rm /root/pack")
    state = document(backed, "status", check=None)  # a backup that a test before cut off may have left a snapshot
    assert "backup-damaged" not in findings(state)
    assert state["apps"][0]["backup"]["verified"]["payload"] < 300


@pytest.mark.long
def test_what_shrank_is_suspect_until_a_person_accepts_it(backed: RunningLab) -> None:
    """A human is called at the first one alone; accepted, it is the new normal; and what is held is kept."""
    files = f"{DATA}/files"
    backed.on("s1", f"cd {files} && head -c {3 * MORE} /dev/urandom >bulk && chown --reference=. bulk")
    large = [taken(backed) for _ in range(3)][-1]  # the middle one of five is what is usual
    pages = backed.workspace / "pages.jsonl"
    before = pages.read_text().count("backup-suspect") if pages.exists() else 0
    backed.on("s1", f"cd {files} && find . -type f -size +1M -delete")
    for _ in range(2):
        (made,) = document(backed, "backup", "run", check=3)["backups"]
        assert made["state"] == "suspect"
    assert pages.read_text().count("backup-suspect") == before + 1
    assert document(backed, "backup", "accept", str(made["id"]))["state"] == "good"
    taken(backed)
    document(backed, "backup", "accept", str(made["id"]), check=6)
    document(backed, "backup", "hold", str(large["id"]))
    kept = {one["id"]: one["kept_for"] for one in document(backed, "backup", "list")["backups"]}
    assert "held" in kept[large["id"]]
    assert document(backed, "backup", "hold", str(large["id"]), "--release")["held"] is False


@pytest.mark.long
@pytest.mark.usefixtures("login")
def test_the_provider_can_be_shut_out(backed: RunningLab, shelf: Customer) -> None:
    """The owner follows the guide with a password that we never see; then every password of ours is wrong, and is deleted."""
    shelf.put("mine", b"the owner's\n" * 1_000)
    snapshot = taken(backed)["parts"][0]["snapshot"]  # type: ignore[index]
    follow(backed, document(backed, "backup", "owner-key", "files", "--new")["sheet"], "s2", OWNERS)
    guide = document(backed, "backup", "revoke-provider", "files", check=3)["guide"]
    assert f"\n{snapshot}  " in guide, "the copy has other ids; by this one it is found here"
    held = secret(backed, password_name("s1"))
    follow(backed, guide, "s2", OWNERS)

    done = document(backed, "backup", "revoke-provider", "files")
    assert (done["opening"], done["tried"]) == ([], {"s1": 1})
    assert "backup_password_s1" not in backed.run("secret", "show", "files", "backup_password_s1", check=2).stdout
    document(backed, "backup", "revoke-provider", "files", check=6)
    on_store = "RESTIC_REPOSITORY=/srv/tfheal/files/store/s1 restic --no-cache"
    assert backed.on("s3", f"printf %s {held} | {on_store} -p /dev/stdin cat config 2>/dev/null; echo $?") == "12\n"
    new = f"cd {OWNERS}; export RESTIC_PASSWORD_FILE=new-password-s1; restic -o 'sftp.args=-o StrictHostKeyChecking=no'"
    listed = backed.on(
        "s2", f"{new} -r sftp://root@[{address(backed, 's3')}]:22//srv/tfheal/files/store/s1 snapshots --json"
    )
    assert f'"original":"{snapshot}"' in listed
