"""Packages and Python environments on a real slice: from the registries, and from every state a run may leave."""

from collections.abc import Iterator

import pytest
from on_slice import Answer, OnSlice
from releases import the_step

from tfheal.core.resources import Step
from tfheal.core.resources.packages import packages_removal
from tfheal.core.resources.venv import release_id
from tfheal.model.resources import Venv

pytestmark = pytest.mark.lab

HOME = "/opt/tfheal/notes/web"
STATE = "/var/lib/tfheal/notes/web"
RECORDS = "/var/lib/tfheal/packages"
HASHES = {
    "1.15.0": "8b74bedcbbbaca38ff6d7491d76f2b06b3592611af620f8426e82dddb04a5ced",
    "1.16.0": "8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254",
    "1.17.0": "4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274",
}
# Holds the lock of dpkg as another dpkg would, for as long as the file is there.
HOLDER = r"""
touch /run/holding; rm -f /run/holder
perl -e 'use Fcntl; sysopen(F, "/var/lib/dpkg/lock-frontend", O_RDWR) or die; my $lock = pack("s s x4 q q i x4", F_WRLCK);
fcntl(F, F_SETLK, $lock) or die; open(H, ">", "/run/holder"); print H $$; close H;
select(undef, undef, undef, 0.1) while -e "/run/holding"' >/dev/null 2>&1 &
until [ -s /run/holder ]; do sleep 0.05; done
"""


@pytest.fixture(scope="module", autouse=True)
def _software(machine: OnSlice) -> Iterator[None]:
    """Begin with what environments need, and end with what was there before."""
    machine.do("dpkg-query -W -f='${Package}\\n' | sort >/root/packages")
    answer = machine.apply(some_packages("python3-venv"))
    assert answer.status == 0, answer
    yield
    machine.do(
        "dpkg-query -W -f='${Package}\\n' | sort | comm -13 /root/packages - | xargs -r apt-get -q -y purge; rm /root/packages"
    )


def some_packages(*names: str) -> Step:
    """Return the step of packages."""
    return the_step({"kind": "packages", "names": list(names)})


def a_lock(version: str, digest: str | None = None) -> str:
    """Return a lock of one small package."""
    return f"six=={version} --hash=sha256:{digest or HASHES[version]}\n"


def a_venv(version: str = "1.17.0", **fields: object) -> Step:
    """Return the step of an environment with one small package."""
    return the_step({"kind": "venv", "home": HOME, "lock": a_lock(version)} | fields)


def an_id(version: str = "1.17.0") -> str:
    """Return the release of that environment."""
    return release_id(Venv(kind="venv", lock=a_lock(version)))


def runs(machine: OnSlice, version: str) -> None:
    """Demand that the current environment has that version of the package, and works."""
    said = machine.do(
        f"{HOME}/current/bin/python -B -c 'import six; print(six.__version__)'; {HOME}/current/bin/pip check"
    )
    assert said == f"{version}\nNo broken requirements found.\n"


@pytest.fixture
def current(machine: OnSlice) -> str:
    """Have the environment in place, and no other; return its folder."""
    machine.do(
        f"mkdir -p {HOME}/releases; cd {HOME}; rm -rf current; find releases -mindepth 1 -maxdepth 1 ! -name {an_id()} -exec rm -r {{}} +"
    )
    machine.done(a_venv())
    return f"{HOME}/releases/{an_id()}"


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        ("rm -r {folder}", "release {id} is missing"),
        ("rm {folder}/.complete", "release {id} is not complete"),
        ("rm {folder}/lib/python3*/site-packages/six.py", "files changed: 1 (./lib/python3"),
        ("echo >>{folder}/bin/activate", "files changed: 1 (./bin/activate)"),
        ("rm {home}/current", "current is nothing, wanted releases/{id}"),
        ("ln -sfn /tmp {home}/current", "current is /tmp, wanted releases/{id}"),
    ],
)
def test_an_environment_is_put_back(machine: OnSlice, current: str, damage: str, detail: str) -> None:
    """The check says what is missing or how many files changed, and the apply makes it whole."""
    values = {"folder": current, "home": HOME, "id": an_id()}
    machine.heals(a_venv(), damage.format(**values), detail.format(**values))
    runs(machine, "1.17.0")
    assert machine.do(f"ls -A {HOME} {HOME}/releases") == f"{HOME}:\ncurrent\nreleases\n\n{HOME}/releases:\n{an_id()}\n"


def test_every_kind_of_change_is_seen(machine: OnSlice, current: str) -> None:
    """A mode, a file too many, another Python behind the link."""
    machine.do(f"chmod 600 {current}/bin/pip")
    machine.differs(a_venv(), "files changed: 1 (./bin/pip)")
    machine.do(f"chmod 755 {current}/bin/pip; touch {current}/bin/added")
    machine.differs(a_venv(), "files changed: 1 (./bin/added)")
    machine.do(f"rm {current}/bin/added; ln -sf /bin/true {current}/bin/python3")
    machine.differs(a_venv(), "files changed: 2 (./bin/python ./bin/python3)")


def test_a_directory_in_the_place_of_current_is_left_alone(machine: OnSlice, current: str) -> None:
    """Nothing of ours is one, so a human decides."""
    machine.do(f"rm {HOME}/current; mkdir {HOME}/current; test -d {current}")
    machine.differs(a_venv(), "current is nothing, wanted releases/")
    machine.refuses(a_venv(), "current is a directory: move it away")


def test_without_ensurepip_it_says_what_to_install(machine: OnSlice, current: str) -> None:
    """Debian keeps it in a package of its own."""
    machine.do("mv /usr/lib/python3.*/ensurepip /root/ensurepip")
    try:
        machine.refuses(a_venv("1.16.0"), "python3-venv is missing: the playbook's packages name it")
        machine.do(f"test -d {current}")
    finally:
        machine.do("mv /root/ensurepip /usr/lib/python3.*/")


def test_running_it_does_not_change_it(machine: OnSlice, current: str) -> None:
    """What Python compiles beside the files is no difference, and a good environment is not built again."""
    before = machine.do(f"stat -c %i {current}")
    machine.do(
        f"find {current} -name __pycache__ -prune -exec rm -r {{}} +; {current}/bin/python -c 'import six, json, pip'"
    )
    machine.done(a_venv())
    assert machine.do(f"stat -c %i {current}") == before


def test_versions_stand_beside_each_other_up_to_the_number_kept(machine: OnSlice) -> None:
    """A way back is there at once, and what is not kept goes; the current one never, nor what is known good."""
    machine.do(f"rm -rf {HOME}; mkdir -p {STATE}; printf '%s\\n' 0123 {an_id('1.15.0')} >{STATE}/good")
    for version in ("1.15.0", "1.16.0", "1.17.0"):
        machine.done(a_venv(version, keep=2))
        runs(machine, version)
    every = {an_id("1.15.0"), an_id("1.16.0"), an_id("1.17.0")}
    assert set(machine.do(f"ls -A {HOME}/releases; rm {STATE}/good").split()) == every
    assert machine.apply(a_venv("1.17.0", keep=2)).status == 0
    assert set(machine.do(f"ls -A {HOME}/releases").split()) == {an_id("1.16.0"), an_id("1.17.0")}
    before = machine.do(f"stat -c %i {HOME}/releases/*")
    machine.done(a_venv("1.16.0", keep=2))
    runs(machine, "1.16.0")
    assert machine.do(f"stat -c %i {HOME}/releases/*") == before
    machine.done(a_venv("1.16.0", keep=1))
    assert machine.do(f"ls -A {HOME}/releases") == f"{an_id('1.16.0')}\n"


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        (a_lock("1.16.0", "0" * 64), "DO NOT MATCH THE HASHES"),
        ("six==1.16.0\n", "--require-hashes"),
        (a_lock("0.0.1", "0" * 64), "No matching distribution"),
        ("not a requirement!\n", "Invalid requirement"),
    ],
)
def test_a_lock_that_cannot_be_had_harms_nothing(machine: OnSlice, current: str, lock: str, why: str) -> None:
    """It fails with pip's reason, and what was current is and works; nothing half made is left."""
    answer = machine.apply(a_venv(lock=lock))
    assert answer.status == 1
    assert why in answer.said
    assert "what was there is untouched" in answer.said
    machine.is_ok(a_venv())
    runs(machine, "1.17.0")
    assert machine.do(f"ls -A {HOME}/releases") == f"{current.rpartition('/')[2]}\n"


def test_a_damaged_environment_stays_when_it_cannot_be_built_anew(machine: OnSlice, current: str) -> None:
    """Without the registry a slightly damaged one is better than none."""
    machine.do(f"echo '# more' >>{current}/bin/activate; mv /etc/resolv.conf /etc/resolv.away; : >/etc/resolv.conf")
    try:
        offline = a_venv().apply.replace(
            "set -eu", "export PIP_RETRIES=0 PIP_TIMEOUT=2 https_proxy=http://127.0.0.1:9\nset -eu", 1
        )
        answer = machine.sh(offline)
        assert answer.status == 1, answer
        runs(machine, "1.17.0")
    finally:
        machine.do("mv /etc/resolv.away /etc/resolv.conf")
    machine.done(a_venv())


def test_a_full_disk_leaves_the_old_environment(machine: OnSlice) -> None:
    """The build fails and is cleared away."""
    machine.do(f"rm -rf {HOME}; mkdir -p {HOME}; mount -t tmpfs -o size=6m none {HOME}")
    machine.refuses(a_venv(), "No space left on device")
    assert machine.do(f"ls -A {HOME}/releases; umount {HOME}; rm -rf {HOME}") == ""


def test_an_environment_killed_on_the_way_is_finished_by_the_next_run(machine: OnSlice, current: str) -> None:
    """At the moments that count: in the build, around the swap, before and after the switch; the old one works on."""
    works = f"{HOME}/current/bin/python -B -c 'import six'"
    before = f"rm -rf {HOME}/releases/{an_id('1.16.0')}; ln -sfn releases/{an_id()} {HOME}/current"
    for first in (8, 11):
        assert current
        assert machine.killed_everywhere(a_venv("1.16.0"), before, works, first=first, every=100) == first + 100
    machine.do(before)
    machine.sh(a_venv("1.16.0").apply, timeout=1.0)
    machine.do(works)
    machine.done(a_venv("1.16.0"))


def test_an_environment_is_removed_with_its_home(machine: OnSlice, current: str) -> None:
    """By convention the home is all tfheal's; another home loses only what was put there."""
    assert current
    assert machine.remove(a_venv()) == Answer(0, "")
    assert machine.remove(a_venv()) == Answer(0, "")
    assert machine.do("ls -A /opt") == ""
    machine.do("mkdir -p /root/trial/home; touch /root/trial/home/theirs")
    elsewhere = a_venv(home="/root/trial/home")
    machine.done(elsewhere)
    assert machine.remove(elsewhere) == Answer(0, "")
    assert machine.do("ls -A /root/trial/home; rm -r /root/trial") == "theirs\n"


def test_packages_are_installed_and_put_back(machine: OnSlice) -> None:
    """Missing, removed, or unpacked only: the check says it, the apply heals it; configuration files are kept."""
    step = some_packages("tree", "netcat-openbsd")
    machine.differs(step, "tree is not installed\nnetcat-openbsd is not installed")
    machine.done(step)
    machine.heals(step, "dpkg --remove tree", "tree is not installed")
    machine.heals(
        step,
        "dpkg --remove --force-depends tree; cd /root; apt-get -q download tree; dpkg --unpack tree_*.deb; rm tree_*.deb",
        "tree is unpacked",
    )


def test_packages_that_a_machine_lost_when_it_went_down_are_had_again(machine: OnSlice) -> None:
    """One that was unpacked before what it needs, with which apt installs nothing else; and lists that were not on the disk yet."""
    step = some_packages("tree", "jq")
    machine.do(
        "apt-get -q -y purge jq libjq1 tree; cd /root; apt-get -q download jq; dpkg --unpack jq_*.deb; rm jq_*.deb"
    )
    machine.differs(step, "tree is not installed\njq is unpacked")
    machine.done(step)
    empty = "apt-get -q -y purge jq; for list in /var/lib/apt/lists/*_Packages; do : >$list; done"
    machine.heals(step, empty, "jq is not installed")
    machine.do("apt-get -q -y purge jq libjq1")


def test_a_pinned_version_is_held_to(machine: OnSlice) -> None:
    """The version that is there passes, another is named with what is there, and one that does not exist fails."""
    machine.done(some_packages("tree"))
    version = machine.do("dpkg-query -W -f='${Version}' tree")
    machine.is_ok(some_packages(f"tree={version}"))
    other = some_packages("tree=0.0.1")
    machine.differs(other, f"tree is {version}, wanted 0.0.1")
    machine.refuses(other, "Version '0.0.1' for 'tree' was not found")
    machine.is_ok(some_packages("tree"))


def test_a_package_that_does_not_exist_is_a_failure(machine: OnSlice) -> None:
    """With the words of apt."""
    machine.refuses(some_packages("surely-no-such-package"), "Unable to locate package surely-no-such-package")


def test_a_held_lock_is_waited_for(machine: OnSlice) -> None:
    """Another dpkg at work: the apply waits until it is through."""
    machine.do("dpkg --remove tree 2>/dev/null || :")
    machine.do(f"{HOLDER}\n(sleep 1; rm /run/holding) >/dev/null 2>&1 &")
    machine.done(some_packages("tree"))
    machine.do("test ! -e /run/holding")


def test_a_lock_that_is_held_too_long_is_told_with_its_holder(machine: OnSlice) -> None:
    """Who it is, and for how long it was waited."""
    machine.do(f"dpkg --remove tree\n{HOLDER}")
    impatient = some_packages("tree").apply.replace("patience=120", "patience=3")
    answer = machine.sh(impatient)
    holder = machine.do(
        "cat /run/holder; rm /run/holding; while kill -0 $(cat /run/holder) 2>/dev/null; do sleep 0.1; done"
    )
    assert answer.status == 1, answer
    assert "another process holds the package system for more than 3 s" in answer.said
    assert holder in answer.said


def test_packages_killed_in_the_middle_are_finished_by_the_next_run(machine: OnSlice) -> None:
    """A dpkg left half way is taken up where it stopped."""
    step = some_packages("tree", "netcat-openbsd", "bc")
    for seconds in (0.8, 1.4):
        machine.do("apt-get -q -y purge tree netcat-openbsd bc; apt-get clean")
        machine.sh(f"timeout -s KILL {seconds} sh <<'SCRIPT'\n{step.apply}\nSCRIPT\npkill -KILL -x 'apt-get|dpkg'")
        machine.done(step)


def test_only_packages_that_tfheal_installed_are_removed(machine: OnSlice) -> None:
    """Not what was there before, not what another needs; configuration files stay. What dpkg was cut off in is ended first."""
    machine.do(f"apt-get -q -y purge tree bc; apt-get -q -y install bc; rm -f {RECORDS}/bc")
    machine.done(some_packages("tree", "bc", "curl"))
    machine.do(
        "dpkg-query -s bc >/var/lib/dpkg/updates/0000"
    )  # as a machine leaves it that went down at the end of an installation
    answer = machine.sh(packages_removal(["tree", "bc=1", "curl", "never-installed"]), timeout=60)
    assert answer.status == 0, answer
    assert "bc was here before, it stays" in answer.said
    assert "curl was here before, it stays" in answer.said
    machine.do("dpkg-query -W bc curl")
    assert "installed" not in machine.sh("dpkg-query -W -f='${db:Status-Status}' tree").said.replace(
        "not-installed", ""
    )
    machine.do(f"mkdir -p {RECORDS}; touch {RECORDS}/libpython3-stdlib")
    assert "libpython3-stdlib stays: python3" in machine.sh(packages_removal(["libpython3-stdlib"])).said
    machine.do("dpkg-query -W libpython3-stdlib")
