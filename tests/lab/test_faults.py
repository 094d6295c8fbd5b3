"""Faults on real slices: each lands and says by what it is proven, holds, and is taken away."""

import socket
import time
from collections.abc import Iterator

import pytest
from running_lab import RunningLab

pytestmark = pytest.mark.lab

SLICE = "s2"
UNIT = "tfheal-shop-web.service"
HOME = "/opt/tfheal/shop/web"
INSTALL = f"""set -e
mkdir -p {HOME}/releases/r1 {HOME}/config /srv/tfheal/shop/web
cat > {HOME}/releases/r1/run <<'END'
#!/bin/sh
. {HOME}/config/settings
[ "$ready" = yes ] || exit 1
. {HOME}/config/password
[ "$password" = the-right-word ] || exit 1
exec systemd-socket-activate --listen=7070 sleep 100000
END
chmod 755 {HOME}/releases/r1/run
echo ready=yes > {HOME}/config/settings
echo password=the-right-word > {HOME}/config/password
chmod 640 {HOME}/config/*
chgrp daemon {HOME}/config/*
ln -sfn releases/r1 {HOME}/current
echo precious > /srv/tfheal/shop/web/data
cat > /etc/systemd/system/{UNIT} <<END
[Unit]
StartLimitIntervalSec=60
StartLimitBurst=4
[Service]
User=daemon
ExecStart={HOME}/current/run
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl --quiet enable {UNIT}
systemctl start {UNIT}
"""
REMOVE = f"""systemctl disable --now {UNIT}; systemctl reset-failed; rm -rf /opt/tfheal /srv/tfheal /etc/systemd/system/{UNIT}
systemctl daemon-reload
"""
STATE = f"systemctl show -P ActiveState {UNIT}"
SETTLES = {
    "kill-service": "failed",
    "stop-service": "inactive",
    "mask-service": "inactive",
    "port-taken": "failed",
    "corrupt-config": "failed",
    "delete-release": "failed",
    "change-secret": "failed",
    "delete-unit": "inactive",
}
SETTLES_LONG = {
    "corrupt-unit": "failed",
    "delete-config": "failed",
    "deny-config": "failed",
    "chown-config": "failed",
    "corrupt-release": "failed",
}


@pytest.fixture(scope="module")
def service(lab: RunningLab) -> Iterator[RunningLab]:
    """Install a tiny service with the conventions of an instance, `shop/web`."""
    lab.on(SLICE, INSTALL)
    yield lab
    lab.on(SLICE, REMOVE, check=None)


@pytest.fixture
def shop(service: RunningLab) -> Iterator[RunningLab]:
    """Return the service, mended after the test."""
    yield service
    service.do("mend", SLICE)
    assert service.slices()[SLICE]["faults"] == []


@pytest.mark.parametrize("fault", [*SETTLES, *(pytest.param(name, marks=pytest.mark.long) for name in SETTLES_LONG)])
def test_a_fault_of_a_service_lands_holds_and_is_mended(shop: RunningLab, fault: str) -> None:
    """It is proven, the service does not come back by itself, and mending brings it back, data untouched."""
    done = shop.do("break", SLICE, fault)
    assert (done["fault"], done["instance"]) == (fault, "shop/web")
    assert done["detail"]
    assert shop.slices()[SLICE]["faults"] == [f"{fault} shop/web"]
    assert _settled(shop) == (SETTLES | SETTLES_LONG)[fault]
    assert shop.do("break", SLICE, fault)["detail"].startswith("there already: ")
    assert [each["fault"] for each in shop.do("mend", SLICE)["mended"]] == [fault]
    assert shop.on(SLICE, f"{STATE}; cat /srv/tfheal/shop/web/data") == "active\nprecious\n"
    assert shop.on(SLICE, f"stat -c %a {HOME}/config/settings; cat {HOME}/current/../../config/settings") == (
        "640\nready=yes\n"
    )


def test_a_disabled_service_runs_until_the_slice_boots(shop: RunningLab) -> None:
    """It is seen by nobody who only asks whether the service runs; a second time, or after an uninstall, it is nothing."""
    shop.do("break", SLICE, "disable-service")
    assert shop.on(SLICE, f"{STATE}; systemctl is-enabled {UNIT} || true") == "active\ndisabled\n"
    shop.do("mend", SLICE)
    assert shop.on(SLICE, f"{STATE}; systemctl is-enabled {UNIT}") == "active\nenabled\n"
    shop.on(SLICE, f"systemctl --quiet disable {UNIT}")
    assert f"{UNIT} is not enabled" in shop.do("break", SLICE, "disable-service", check=5)["error"]["why"]
    shop.on(SLICE, f"systemctl --quiet enable {UNIT}")


def test_a_port_is_held_by_a_stranger_until_he_leaves(shop: RunningLab) -> None:
    """The service cannot be started while he is there, and it can as soon as he is gone."""
    assert "listens on port 7070" in shop.do("break", SLICE, "port-taken")["detail"]
    assert _settled(shop) == "failed"
    shop.on(SLICE, f"systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    assert _settled(shop) == "failed"
    shop.on(SLICE, f"systemctl stop stranger-of-{UNIT}; systemctl reset-failed {UNIT}; systemctl start {UNIT}")
    assert shop.do("mend", SLICE)["mended"][0]["detail"] == "was healed already, now forgotten"
    shop.on(SLICE, f"systemctl stop {UNIT}")
    assert f"{UNIT} does not run" in shop.do("break", SLICE, "port-taken", check=5)["error"]["why"]
    shop.on(SLICE, f"systemctl start {UNIT}")


def test_only_a_database_can_be_down(shop: RunningLab) -> None:
    """A service that is none is left alone; and the unit is the one that the state file notes, if it notes one."""
    assert f"{UNIT} is not PostgreSQL" in shop.do("break", SLICE, "db-down", check=5)["error"]["why"]
    state = "/var/lib/tfheal/shop/web"
    shop.on(SLICE, f"mkdir -p {state}; printf 'release r1\nunit systemd-logind.service\nwriter me\n' >{state}/state")
    assert shop.do("break", SLICE, "stop-service")["detail"].startswith("systemd-logind.service is inactive")
    assert shop.on(SLICE, f"{STATE}; systemctl is-active systemd-logind || true") == "active\ninactive\n"
    shop.do("mend", SLICE)
    assert shop.on(SLICE, f"rm -r {state}; systemctl is-active systemd-logind") == "active\n"


def _settled(shop: RunningLab) -> str:
    """Return the state of the service once systemd no longer tries."""
    return shop.on(
        SLICE, f"for i in $(seq 100); do s=$({STATE}); case $s in act*) sleep .1;; *) break;; esac; done; echo $s"
    ).strip()


@pytest.mark.parametrize("fault", ["corrupt-config", "delete-release", "kill-service"])
def test_what_was_healed_is_only_forgotten(shop: RunningLab, fault: str) -> None:
    """Mending undoes nothing that a heal did: what came after the fault stays."""
    shop.do("break", SLICE, fault)
    shop.on(
        SLICE,
        f"""mkdir -p {HOME}/releases/r2; printf '#!/bin/sh\\nexec sleep 100001\\n' > {HOME}/releases/r2/run
        chmod 755 {HOME}/releases/r2/run; ln -sfn releases/r2 {HOME}/current; echo ready=yes > {HOME}/config/settings
        echo password=the-right-word > {HOME}/config/password
        systemctl reset-failed {UNIT}; systemctl restart {UNIT}""",
    )
    assert [each["detail"] for each in shop.do("mend", SLICE)["mended"]] == ["was healed already, now forgotten"]
    assert shop.on(SLICE, f"readlink {HOME}/current; {STATE}") == "releases/r2\nactive\n"
    shop.on(SLICE, INSTALL + f"systemctl restart {UNIT}; rm -rf {HOME}/releases/r2")


def test_a_service_without_a_start_limit_cannot_be_killed_for_good(shop: RunningLab) -> None:
    """The fault does not land, and says so: 5."""
    unlimited = f"/run/systemd/system/{UNIT}.d"
    shop.on(
        SLICE,
        f"mkdir -p {unlimited}; printf '[Unit]\\nStartLimitIntervalSec=0\\n' > {unlimited}/x.conf; systemctl daemon-reload",
    )
    error = shop.do("break", SLICE, "kill-service", check=5)["error"]
    assert "it has no start limit" in error["why"]
    shop.on(SLICE, f"rm -r {unlimited}; systemctl daemon-reload")


def test_a_full_disk_takes_not_one_block_more(shop: RunningLab) -> None:
    """Nothing can be written until apt's cache is emptied, as an operator or a heal would do."""
    shop.do("break", SLICE, "fill-disk")
    assert shop.on(SLICE, "df --output=avail --block-size=1 / | tail -1").strip() == "0"
    assert "No space left" in shop.on(
        SLICE, "head -c 100k /dev/zero 2>&1 > /srv/tfheal/shop/web/more", check=1
    ) + shop.on(SLICE, "head -c 100k /dev/zero 2>&1 > /srv/tfheal/shop/web/more; true")
    shop.on(SLICE, "rm -f /srv/tfheal/shop/web/more; apt-get clean")
    assert int(shop.on(SLICE, "df --output=avail --block-size=1M / | tail -1")) > 1_000
    assert shop.do("mend", SLICE, "fill-disk")["mended"][0]["detail"] == "was healed already, now forgotten"


def test_a_partitioned_slice_goes_on_unseen(shop: RunningLab) -> None:
    """Nobody reaches it, `lab up` does not hang on it, and inside nothing has changed."""
    age = shop.on(SLICE, "stat -c %Z /proc/1")
    assert shop.do("break", SLICE, "partition")["instance"] == ""
    there = shop.slices()[SLICE]
    with pytest.raises(OSError, match=r"timed out|No route"):
        socket.create_connection((there["address"], 22), timeout=1)
    assert shop.on("s1", f"curl -s -m 1 telnet://{there['address4']}:22 </dev/null", check=None) == ""
    shop.do("up")
    assert shop.slices()[SLICE]["condition"] == "running"
    shop.do("mend", SLICE, "partition")
    assert shop.on(SLICE, "stat -c %Z /proc/1") == age


@pytest.mark.parametrize("fault", ["drop-ssh", "sshd-hangs", "freeze"])
def test_nobody_logs_in_and_nothing_is_lost(shop: RunningLab, fault: str) -> None:
    """No greeting comes, `lab up` does not hang on it, and afterwards the slice is the same."""
    age = shop.on(SLICE, "stat -c %Z /proc/1")
    assert shop.do("break", SLICE, fault)["detail"]
    address = shop.slices()[SLICE]["address"]
    with pytest.raises(TimeoutError), socket.create_connection((address, 22), timeout=1) as connection:
        connection.recv(1)
    if fault == "freeze":
        error = shop.do("break", SLICE, "stop-service", check=5)["error"]
        assert (error["what"], error["do"]) == ("the slice is frozen", f"tfheal lab mend {SLICE} freeze lets it go on")
    else:
        with socket.create_connection((address, 7070), timeout=1):
            pass
    shop.do("up")
    assert (shop.slices()[SLICE]["condition"], shop.slices()[SLICE]["faults"]) == ("running", [fault])
    assert shop.do("break", SLICE, fault)["detail"].startswith("there already: ")
    assert shop.do("mend", SLICE)["mended"][0]["detail"].startswith("mended: ")
    assert shop.on(SLICE, f"stat -c %Z /proc/1; {STATE}") == f"{age}active\n"


def test_a_service_hangs_dies_once_and_is_refused(shop: RunningLab) -> None:
    """Nothing answers while its processes are stopped; a process that dies comes back; a refused port is refused to all."""
    address = shop.slices()[SLICE]["address"]
    shop.do("break", SLICE, "hang-service")
    shop.on(SLICE, f'test "$(ps -o state= -p "$(systemctl show -P MainPID {UNIT})")" = T')
    shop.do("mend", SLICE)
    assert "is dead" in shop.do("break", SLICE, "kill-process")["detail"]
    shop.do("mend", SLICE)
    shop.do("break", SLICE, "refuse-port")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, 7070), timeout=1)
    shop.do("mend", SLICE)
    with socket.create_connection((address, 7070), timeout=1):
        pass
    assert shop.on(SLICE, STATE) == "active\n"


def test_the_way_to_a_slice_is_refused_or_slow(shop: RunningLab) -> None:
    """Nobody listens on port 22; a line that is slow takes its time, and all that passes it is whole."""
    shop.do("break", SLICE, "sshd-dead")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((shop.slices()[SLICE]["address"], 22), timeout=1)
    shop.do("mend", SLICE)
    shop.do("break", SLICE, "slow-link")
    begun = time.monotonic()
    assert len(shop.on(SLICE, "head -c 100000 /dev/zero | tr '\\0' x")) == 100_000
    assert time.monotonic() - begun > 2
    shop.do("mend", SLICE)


def test_owners_and_permissions_of_data_are_put_back(shop: RunningLab) -> None:
    """Whom its folder belongs to, who may enter it, and whether it can be written; what is in it is never touched."""
    look = (
        "stat -c %a:%U:%G /srv/tfheal/shop/web; cat /srv/tfheal/shop/web/data; touch /srv/tfheal/shop/web/data; echo $?"
    )
    shop.on(SLICE, "chown daemon:daemon /srv/tfheal/shop/web; chmod 750 /srv/tfheal/shop/web")
    before = shop.on(SLICE, look)
    for fault, changed in (
        ("deny-data", "0:daemon:daemon\n"),
        ("chown-data", "700:root:root\n"),
        ("read-only-data", "1\n"),
    ):
        shop.do("break", SLICE, fault)
        assert changed in shop.on(SLICE, look)
        shop.do("mend", SLICE)
        assert shop.on(SLICE, look) == before == "750:daemon:daemon\nprecious\n0\n"


@pytest.mark.long
def test_a_slice_is_wiped_lost_and_booted_anew_and_its_data_comes_back(shop: RunningLab) -> None:
    """An empty machine with another key answers at its address; one that is lost stays off; mended, both have their old disk."""
    shop.do("break", SLICE, "wipe-slice")
    assert shop.slices()[SLICE]["fingerprint"] in shop.do("break", SLICE, "wipe-slice")["detail"]
    shop.on(SLICE, "true", check=255)
    shop.do("mend", SLICE)
    shop.do("break", SLICE, "lose-slice")
    shop.do("up")
    assert shop.slices()[SLICE]["condition"] == "off"
    shop.do("mend", SLICE)
    age = shop.on(SLICE, "stat -c %Z /proc/1")
    shop.do("break", SLICE, "reboot")
    shop.do("mend", SLICE)
    assert shop.on(SLICE, "stat -c %Z /proc/1") != age
    assert shop.on(SLICE, f"cat /srv/tfheal/shop/web/data; {STATE}") == "precious\nactive\n"


@pytest.mark.long
def test_a_storm_of_processes_stays_in_its_slice(shop: RunningLab) -> None:
    """It takes what the slice may have and not one more, so that nobody logs in there; the slice beside it notices nothing."""
    assert "2048 processes of 2048" in shop.do("break", SLICE, "fork-storm")["detail"]
    shop.on(SLICE, "true", check=255)
    shop.on("s1", "true")
    shop.do("mend", SLICE)
    assert shop.on(SLICE, STATE) == "active\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "fault", ["crash-loop", "memory-hog", "fill-inodes", "drop-replies", "cut-peers", "hold-dpkg-lock"]
)
def test_what_is_rare_lands_and_is_mended(shop: RunningLab, fault: str) -> None:
    """Whatever it is, it is proven twice, and afterwards the service runs and its data is as it was."""
    assert shop.do("break", SLICE, fault)["detail"]
    assert shop.do("break", SLICE, fault)["detail"].startswith("there already: ")
    assert shop.do("mend", SLICE)["mended"][0]["detail"].startswith("mended: ")
    assert shop.on(SLICE, f"{STATE}; cat /srv/tfheal/shop/web/data") == "active\nprecious\n"


def test_a_package_is_removed_only_if_tfheal_installed_it(shop: RunningLab) -> None:
    """Where it noted none, the fault does not land, and says so."""
    assert "tfheal has installed no package" in shop.do("break", SLICE, "remove-package", check=5)["error"]["why"]


def test_a_boot_ends_what_only_its_processes_had(shop: RunningLab) -> None:
    """A frozen slice whose sshd hangs can be switched off; once it is on, a firewall on the way is still there."""
    for fault in ("sshd-hangs", "drop-ssh", "freeze", "power-off"):
        shop.do("break", SLICE, fault)
    shop.do("up")
    assert shop.slices()[SLICE]["faults"] == ["drop-ssh"]
    assert [each["fault"] for each in shop.do("mend", SLICE)["mended"]] == ["drop-ssh"]
    assert shop.on(SLICE, STATE) == "active\n"


def test_a_slice_without_power_stays_off_until_it_is_started(shop: RunningLab) -> None:
    """It loses what ran, not what is on its disk; `lab up` or mending starts it, and the fault is forgotten."""
    shop.on(SLICE, "echo kept > /root/kept; sync")
    shop.do("break", SLICE, "power-off")
    assert shop.slices()[SLICE]["condition"] == "off"
    assert shop.do("break", SLICE, "kill-service", check=2)["error"]["what"] == "the slice does not run"
    shop.do("mend", SLICE)
    assert shop.on(SLICE, "cat /root/kept") == "kept\n"
    shop.do("break", SLICE, "power-off")
    shop.do("up")
    assert shop.slices()[SLICE]["faults"] == []
    assert shop.on(SLICE, f"systemctl start {UNIT}; {STATE}") == "active\n"


def test_several_faults_are_mended_together(shop: RunningLab) -> None:
    """First the slice is reached again, then what is inside it is put right."""
    order = ("freeze", "partition", "drop-ssh", "fill-disk", "delete-release")
    for fault in reversed(order):
        shop.do("break", SLICE, fault)
    assert [each["fault"] for each in shop.do("mend", SLICE)["mended"]] == list(order)
    assert shop.on(SLICE, STATE) == "active\n"
    assert shop.do("mend", SLICE)["mended"] == []


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        ((SLICE, "kill-servise"), "there is no such fault", "did you mean kill-service?"),
        (("s9", "kill-service"), "there is no such slice in the lab", "it has: s1, s2, s3"),
        (("s1", "kill-service"), "no app is on this slice", "this fault needs an app's instance"),
        ((SLICE, "kill-service", "--app", "crm"), "crm is not on this slice", "this fault needs an app's instance"),
        ((SLICE, "fill-disk", "--app", "shop"), "fill-disk is a fault of the whole slice", "leave --app out"),
    ],
)
def test_a_fault_without_a_place_is_refused(shop: RunningLab, words: tuple[str, ...], what: str, hint: str) -> None:
    """Nothing is touched, and the message says what there is."""
    error = shop.do("break", *words, check=2)["error"]
    assert (error["what"], error["do"]) == (what, hint)


def test_of_two_instances_one_has_to_be_named(shop: RunningLab) -> None:
    """`--app` takes an app, or an app and its component."""
    other = "/etc/systemd/system/tfheal-shop-db.service"
    shop.on(SLICE, f"mkdir -p /opt/tfheal/shop/db; sed 's/current.run/nothing/' /etc/systemd/system/{UNIT} > {other}")
    error = shop.do("break", SLICE, "stop-service", "--app", "shop", check=2)["error"]
    assert error["why"] == "instances there: shop/db, shop/web"
    assert shop.do("break", SLICE, "stop-service", "--app", "shop/web")["instance"] == "shop/web"
    shop.on(SLICE, f"rm -r /opt/tfheal/shop/db {other}")


def test_every_fault_is_listed_with_its_words(shop: RunningLab) -> None:
    """People and scripts see the same."""
    listed = shop.do("faults")["faults"]
    assert len(listed) >= 35
    assert {"kill-service", "slow-link", "wipe-slice", "lock-tables"} < {each["fault"] for each in listed}
    said = shop.run("lab", "faults").stdout
    assert all(each[key] in said for each in listed for key in ("fault", "does", "proven", "mended"))
