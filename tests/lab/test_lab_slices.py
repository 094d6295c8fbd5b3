"""What `tfheal lab up` makes: real machines, each its own, that reach what this machine reaches."""

import ipaddress
import json
import time
import tomllib
from pathlib import Path

import pytest
from running_lab import RunningLab

pytestmark = pytest.mark.lab

LIMITS = ("memory.max", "memory.limit_in_bytes", "pids.max")
EACH = ("s1", "s2", "s3")
LOOK = """echo "name $(hostname)"; echo "machine $(cat /etc/machine-id)"
cat /etc/ssh/ssh_host_*_key.pub | while read -r kind key rest; do echo "key $key"; done
echo "state $(systemctl is-system-running --wait)"; . /etc/os-release; echo "system $ID-$VERSION_ID"
ip -4 -brief address show host0 | while read -r link state address; do echo "address $address"; done"""


def test_a_second_up_changes_nothing(lab: RunningLab) -> None:
    """Nothing is made again, nothing restarts, no pin moves."""
    before = lab.slices(), lab.known_hosts.read_text(), (lab.workspace / "inventory.toml").read_text()
    age = lab.on("s1", "stat -c %Z /proc/1")
    again = lab.do("up")
    assert [each["slice"] for each in again["slices"]] == list(EACH)
    assert (lab.slices(), lab.known_hosts.read_text(), (lab.workspace / "inventory.toml").read_text()) == before
    assert lab.on("s1", "stat -c %Z /proc/1") == age


def test_each_slice_is_a_machine_of_its_own(lab: RunningLab) -> None:
    """No two share a machine id, a host key, an address or a name; each is a healthy Debian 13."""
    slices = lab.slices()
    seen: set[str] = set()
    for name in EACH:
        said = {tuple(line.split()) for line in lab.on(name, LOOK).splitlines()}
        shared = {("name", name), ("state", "running"), ("system", "debian-13")}
        assert shared | {("address", f"{slices[name]['address4']}/24")} <= said
        own = {value for word, *values in said if word in {"machine", "key"} for value in values}
        assert len(own) >= 2
        assert not own & seen, "each has a machine id and host keys of its own"
        seen |= own
    for family in ("address", "address4"):
        assert len({ipaddress.ip_address(slices[name][family]) for name in EACH}) == 3


def test_the_inventory_and_the_pins_are_written(lab: RunningLab) -> None:
    """Any other command of tfheal finds the slices by them; the key is the owner's alone."""
    listed = tomllib.loads((lab.workspace / "inventory.toml").read_text())["slices"]["s2"]
    assert listed == {
        "owner": "lab",
        "address": lab.slices()["s2"]["address"],
        "user": "root",
        "key": f".tfheal/lab/{lab.name}/id_ed25519",
        "labels": {"lab": lab.name},
        "size": {"cpu": listed["size"]["cpu"], "memory": "1G", "disk": "2G"},
        "provisioner": {"recreate": f"tfheal lab recreate s2 --name {lab.name}", "host_key": "output"},
    }
    assert lab.key.stat().st_mode & 0o777 == 0o600
    assert f"s2 {lab.slices()['s2']['host_key']}" in lab.known_hosts.read_text().splitlines()
    assert lab.slices()["s2"]["host_key"] in lab.on("s2", "cat /etc/ssh/ssh_host_ed25519_key.pub")


def test_sizes_are_the_slices_own(lab: RunningLab) -> None:
    """`df` shows the slice's disk, and its memory and processes are limited by its control group."""
    total = int(lab.on("s1", "df --output=size --block-size=1M / | tail -1"))
    assert 1_800 < total < 2_048
    groups = list(Path("/sys/fs/cgroup").glob(f"**/tfheal-lab/{lab.name}/s1"))
    limits = {
        name: (group / name).read_text().strip() for group in groups for name in LIMITS if (group / name).exists()
    }
    assert set(limits.values()) == {str(1 << 30), "2048"}


def test_a_slice_cannot_set_the_clock_of_this_machine(lab: RunningLab) -> None:
    """The one capability that would reach out of every slice is not there."""
    assert "Operation not permitted" in lab.on("s1", "date -s @0 2>&1", check=1)


def test_packages_come_into_a_slice(lab: RunningLab) -> None:
    """Both apt and pip reach their indexes through this machine, with its mirrors, proxies and certificates."""
    lab.on("s3", "apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null 2>&1")
    assert "six" in lab.on(
        "s3", "python3 -m venv /opt/trial && /opt/trial/bin/pip install -q six && ls /opt/trial/lib/*/*"
    )
    lab.on("s3", "rm -r /opt/trial")


def test_slices_reach_each_other(lab: RunningLab) -> None:
    """An app's instances talk to each other over both families."""
    there = lab.slices()["s2"]
    for address in (f"[{there['address']}]", there["address4"]):
        assert "SSH-2.0" in lab.on("s1", f"curl -s -m 1 telnet://{address}:22 </dev/null | head -c 20 || true")


def test_the_exit_code_of_ssh_is_the_commands(lab: RunningLab) -> None:
    """Scripts can rely on it; words arrive as they were written."""
    ssh = ("lab", "ssh", "--name", lab.name)
    lab.run(*ssh, "s1", "--", "exit 33", check=33)
    assert lab.run(*ssh, "s1", "printf '%s' \"a  b\"").stdout == "a  b"
    assert lab.run(*ssh, "s9", "--", "true", check=2).stdout == ""


def test_a_recreated_slice_is_another_machine(lab: RunningLab) -> None:
    """Its disk is empty, its id and host key are new, the key is pinned and its fingerprint printed."""
    lab.on("s3", "touch /root/was-here")
    before = lab.slices()["s3"], lab.on("s3", "cat /etc/machine-id")
    said = lab.run("lab", "recreate", "s3", "--name", lab.name).stdout
    after = lab.slices()["s3"]
    assert said == f"host_key {after['fingerprint']}\n"
    assert (after["host_key"], after["address"]) == (after["host_key"], before[0]["address"])
    assert after["host_key"] != before[0]["host_key"]
    assert lab.on("s3", "ls /root; cat /etc/machine-id") != before[1]
    assert "was-here" not in lab.on("s3", "ls /root")


def test_a_lost_login_key_is_replaced(lab: RunningLab) -> None:
    """The key of the lab is gone: `lab up` makes another, and the slices that run let it in."""
    lab.key.unlink()
    lab.key.with_suffix(".pub").unlink()
    lab.do("up")
    assert [lab.on(name, "hostname") for name in EACH] == [f"{name}\n" for name in EACH]


def test_a_slice_whose_making_was_cut_off_is_made_again(lab: RunningLab) -> None:
    """A record without a host key is the mark of a disk that is not whole: nothing of it is trusted."""
    record = Path(f"/var/lib/tfheal-lab/{lab.name}/slices/s3/slice.json")
    lab.do("break", "s3", "power-off")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"host_key": ""}))
    before = lab.known_hosts.read_text()
    lab.do("up")
    assert lab.on("s3", "hostname") == "s3\n"
    assert lab.known_hosts.read_text() != before


def test_a_reboot_from_inside_comes_back(lab: RunningLab) -> None:
    """The machine's own `reboot` is a reboot: another boot, the same disk."""
    age = lab.on("s3", "echo kept > /root/kept; stat -c %Z /proc/1")
    lab.on("s3", "systemctl reboot", check=None)
    deadline = time.monotonic() + 30
    while (answer := lab.on("s3", "cat /root/kept && stat -c %Z /proc/1", check=None)) in {"", f"kept\n{age}"}:
        assert time.monotonic() < deadline
    assert answer.startswith("kept\n")
