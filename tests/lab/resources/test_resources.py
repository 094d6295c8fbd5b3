"""Directories, files, users and commands on a real slice: made, kept, healed, refused, and taken away."""

import base64
from dataclasses import replace

import pytest
from on_slice import Answer, OnSlice
from releases import a_release, the_step

from tfheal.core.resources import Step, steps

pytestmark = pytest.mark.lab

FOLDER = "/root/trial"
PATH = f"{FOLDER}/main.conf"
OLD = "old\n"
STATE = "/var/lib/tfheal/notes/web"


@pytest.fixture(autouse=True)
def _clean(machine: OnSlice) -> None:
    """Begin each test without what another left."""
    machine.do(
        f"""mountpoint -q {FOLDER} && umount {FOLDER} || :
        rm -rf {FOLDER} /srv/tfheal /opt/tfheal /etc/tfheal {STATE}
        mkdir -p {FOLDER}
        ! getent passwd tf-trial >/dev/null || userdel tf-trial"""
    )


def a_file(**fields: object) -> Step:
    """Return the step of a file."""
    whole = {"kind": "file", "path": PATH, "content": "answer = 42\n", "mode": "0640", "group": "adm"} | fields
    return the_step(whole)


def a_directory(**fields: object) -> Step:
    """Return the step of a directory."""
    whole = {"kind": "directory", "path": f"{FOLDER}/deep/inside", "mode": "0750", "group": "adm"} | fields
    return the_step(whole)


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        (f"rm {PATH}", "missing"),
        (f"echo 41 >{PATH}", "content differs"),
        (f": >{PATH}", "content differs"),
        (f"chmod 644 {PATH}", "mode is 644, wanted 640"),
        (f"chown nobody {PATH}", "owner is nobody:adm, wanted root:adm"),
        (f"chown 4242:4243 {PATH}", "owner is UNKNOWN:UNKNOWN"),
        (f"ln -sf /etc/passwd {PATH}", "is a symbolic link"),
        (f"ln -sf /nowhere {PATH}", "is a symbolic link"),
        (f"rm {PATH}; mkfifo {PATH}", "is a special file"),
        (f"rm {PATH}; mknod {PATH} c 1 5", "is a special file"),
        (f"mkdir {FOLDER}/.tfheal-new-main.conf; echo 1 >{PATH}", "content differs"),
        (f"ln -s /etc {FOLDER}/.tfheal-new-main.conf; echo 1 >{PATH}", "content differs"),
    ],
)
def test_a_file_is_put_back_whatever_was_done_to_it(machine: OnSlice, damage: str, detail: str) -> None:
    """The check says what is wrong, the apply replaces it, and nothing behind a link is touched."""
    before = machine.do("sha256sum /etc/passwd; ls -a /etc | wc -l")
    machine.done(a_file())
    machine.heals(a_file(), damage, detail)
    assert machine.do("sha256sum /etc/passwd; ls -a /etc | wc -l") == before
    assert machine.do(f"ls -A {FOLDER}") == "main.conf\n"


@pytest.mark.parametrize("content", ["", "no end of line", "ünï ⟦ $(id) `id` ' \" \\ %s \r\n", "x" * 200_000])
def test_a_file_has_its_content_to_the_byte(machine: OnSlice, content: str) -> None:
    """Empty, odd or large."""
    step = a_file(content=content)
    machine.done(step)
    assert machine.do(f"base64 -w 0 {PATH}") == machine.do(f"printf %s '{_base64(content)}'")


def test_a_plan_can_show_what_is_there(machine: OnSlice) -> None:
    """The present content comes with the check while it differs; not for a secret, and not through a link."""
    machine.do(f"echo old >{PATH}")
    machine.differs(a_file(), f"current:{_base64(OLD)}")
    binary = a_file(content=None, base64="AAEC")
    assert "current:" not in machine.check(binary).said
    machine.do(f"ln -sf /etc/shadow {PATH}")
    assert "current:" not in machine.check(a_file()).said


def test_a_file_whose_folder_is_missing_is_refused(machine: OnSlice) -> None:
    """A directory resource makes folders; the folder of an instance's configuration is made by convention."""
    machine.refuses(a_file(path=f"{FOLDER}/none/x"), "the folder /root/trial/none is missing")
    machine.done(a_file(path="/opt/tfheal/notes/web/config/x"))


def test_a_directory_in_the_place_of_a_file_is_left_alone(machine: OnSlice) -> None:
    """What is in it may be of value."""
    machine.do(f"mkdir {PATH}; touch {PATH}/kept")
    machine.differs(a_file(), "is a directory")
    machine.refuses(a_file(), "is a directory: a file cannot take its place")
    assert machine.do(f"ls -A {FOLDER} {PATH}") == f"{FOLDER}:\nmain.conf\n\n{PATH}:\nkept\n"


def test_a_full_disk_leaves_the_old_file(machine: OnSlice) -> None:
    """The new content does not fit: the apply fails and says so, and the old file is as it was."""
    machine.do(f"mount -t tmpfs -o size=32k none {FOLDER}; echo old >{PATH}; cat /dev/zero >{FOLDER}/fill || :")
    machine.refuses(a_file(content="x" * 50_000), "No space left on device")
    assert machine.do(f"cat {PATH}; ls -A {FOLDER}") == "old\nfill\nmain.conf\n"


def test_content_that_was_cut_on_its_way_is_not_put_there(machine: OnSlice) -> None:
    """A decoder that was killed leaves half of it: the digest tells, and the old file stays."""
    machine.do(f"echo old >{PATH}")
    step = a_file(content="x" * 1_000)
    cut = replace(step, apply=step.apply.replace("base64 -d |", "base64 -d | head -c 500 |"))
    machine.refuses(cut, "content: FAILED")
    assert machine.do(f"cat {PATH}; ls -A {FOLDER}") == "old\nmain.conf\n"


def test_a_folder_that_cannot_be_written_to_is_a_failure(machine: OnSlice) -> None:
    """A read-only file system: the apply fails with the reason, the old file stays."""
    machine.do(f"echo old >{PATH}; mount --bind {FOLDER} {FOLDER}; mount -o remount,bind,ro {FOLDER}")
    machine.refuses(a_file(), "Read-only file system")
    assert machine.do(f"cat {PATH}") == "old\n"
    machine.do(f"umount {FOLDER}")


def test_a_file_killed_at_every_command_is_the_old_or_the_new(machine: OnSlice) -> None:
    """Never a part of it, never with the wrong mode; and the next run finishes."""
    old_or_new = f"""
    case $(cat {PATH}):$(stat -c %a:%G {PATH}) in
    old:600:root | 'answer = 42:640:adm') ;;
    *) exit 1 ;;
    esac"""
    commands = machine.killed_everywhere(a_file(), f"echo old >{PATH}; chmod 600 {PATH}; chgrp root {PATH}", old_or_new)
    assert commands > 8
    assert machine.do(f"ls -A {FOLDER}") == "main.conf\n"


def test_a_file_goes_with_the_empty_folders_above_it(machine: OnSlice) -> None:
    """Folders made by convention go as well, others stay, and what is not ours is not removed."""
    step = a_file(path="/opt/tfheal/notes/web/config/x")
    machine.done(step)
    assert machine.remove(step) == Answer(0, "")
    assert machine.remove(step) == Answer(0, "")
    assert machine.do("ls -A /opt") == ""
    machine.done(a_file())
    assert machine.remove(a_file()) == Answer(0, "")
    assert machine.do(f"ls -A {FOLDER}; ls -d {FOLDER}") == f"{FOLDER}\n"
    machine.do(f"mkdir {PATH}")
    assert machine.remove(a_file()).status == 1


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        ("rmdir $d", "missing"),
        ("chmod 777 $d", "mode is 777, wanted 750"),
        ("chmod 2750 $d", "mode is 2750, wanted 750"),
        ("chown nobody $d", "owner is nobody:adm, wanted root:adm"),
    ],
)
def test_a_directory_is_put_right(machine: OnSlice, damage: str, detail: str) -> None:
    """Its presence, mode and owner; folders above it are made on the way."""
    machine.done(a_directory())
    machine.heals(a_directory(), f"d={FOLDER}/deep/inside\n{damage}", detail)
    assert machine.do(f"stat -c %a:%U {FOLDER}/deep") == "755:root\n"


@pytest.mark.parametrize(
    ("damage", "detail", "why"),
    [
        ("ln -s /etc $d", "is a symbolic link", "is a symbolic link: mount"),
        ("ln -s /nowhere $d", "is a symbolic link", "is a symbolic link: mount"),
        ("echo precious >$d", "is not a directory", "is not a directory: move away"),
        ("mknod $d c 1 3", "is not a directory", "is not a directory: move away"),
    ],
)
def test_what_stands_where_a_directory_should_be_is_left_alone(
    machine: OnSlice, damage: str, detail: str, why: str
) -> None:
    """A link may lead to data on another disk, a file may be of value: a human decides."""
    before = machine.do("stat -c '%a %U %G' /etc")
    machine.do(f"d={FOLDER}/deep/inside; mkdir {FOLDER}/deep; {damage}; ls -ld $d >{FOLDER}/seen")
    machine.differs(a_directory(), detail)
    machine.refuses(a_directory(), why)
    assert machine.do("stat -c '%a %U %G' /etc") == before
    machine.do(f"d={FOLDER}/deep/inside; ls -ld $d | cmp - {FOLDER}/seen")


def test_a_directory_killed_at_every_command_is_finished_by_the_next_run(machine: OnSlice) -> None:
    """Half made is not made."""
    assert machine.killed_everywhere(a_directory(), f"rm -rf {FOLDER}/deep {STATE}", ":") > 5
    assert machine.killed_everywhere(a_directory(data=True), f"rm -rf {FOLDER}/deep {STATE}", ":") > 5


def test_a_data_folder_that_is_gone_is_not_made_anew(machine: OnSlice) -> None:
    """An empty folder would hide the loss; restoring it, or making it by hand, is the way on."""
    step = a_directory(data=True)
    machine.done(step)
    machine.do(f"rmdir {FOLDER}/deep/inside")
    machine.differs(step, "missing, and it held data")
    machine.refuses(step, "is gone, and it held data: restore it, or make it by hand")
    machine.do(f"mkdir {FOLDER}/deep/inside")
    machine.done(step)


def test_a_directory_is_removed_as_far_as_tfheal_made_it(machine: OnSlice) -> None:
    """With its content if we made it; only if empty when it was there before; data when that is asked for."""
    made = a_directory()
    machine.done(made)
    machine.do(f"touch {FOLDER}/deep/inside/log")
    assert machine.remove(made) == Answer(0, "")
    assert machine.do(f"ls -A {FOLDER}/deep") == ""
    machine.do(f"mkdir {FOLDER}/deep/inside; touch {FOLDER}/deep/inside/theirs")
    machine.done(made)
    assert machine.remove(made) == Answer(0, "")
    assert machine.do(f"ls -A {FOLDER}/deep/inside") == "theirs\n"
    data = a_directory(data=True)
    assert data.holds_data
    assert not made.holds_data
    machine.done(data)
    assert machine.remove(data) == Answer(0, "")
    assert machine.do(f"ls -A {FOLDER}/deep") == ""
    assert machine.remove(data) == Answer(0, "")


def test_what_is_mounted_in_a_directory_is_not_emptied(machine: OnSlice) -> None:
    """Another disk under the folder is not ours."""
    step = a_directory()
    machine.done(step)
    machine.do(f"cd {FOLDER}/deep/inside; mkdir disk; mount -t tmpfs none disk; touch disk/theirs")
    machine.remove(step)
    assert machine.do(f"ls {FOLDER}/deep/inside/disk; umount {FOLDER}/deep/inside/disk") == "theirs\n"


def a_user(**fields: object) -> Step:
    """Return the step of a user."""
    return the_step({"kind": "user", "name": "tf-trial", "groups": ["adm"]} | fields)


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        ("userdel tf-trial", "missing"),
        ("usermod --shell /bin/bash tf-trial", "shell is /bin/bash"),
        ("usermod --home /root tf-trial", "home is /root, wanted /nonexistent"),
        ("gpasswd -d tf-trial adm", "not in the group adm"),
        ("sed -i '/^tf-trial:/d' /etc/group /etc/gshadow", "its group is missing"),
    ],
)
def test_a_user_is_put_right(machine: OnSlice, damage: str, detail: str) -> None:
    """Its presence, shell, home and groups."""
    machine.done(a_user())
    machine.heals(a_user(), damage, detail)
    assert machine.do("getent passwd tf-trial | cut -d: -f 6-; id -Gn tf-trial").split("\n")[:2] == [
        "/nonexistent:/usr/sbin/nologin",
        "tf-trial adm",
    ]


def test_a_user_whose_group_is_there_already(machine: OnSlice) -> None:
    """A group of that name is taken as its own."""
    machine.do("groupadd tf-trial")
    machine.done(a_user())
    assert machine.do("id -gn tf-trial") == "tf-trial\n"


def test_root_is_never_a_user_of_ours(machine: OnSlice) -> None:
    """A name that stands for uid 0 is refused, and left as it is."""
    before = machine.do("getent passwd root")
    machine.refuses(a_user(name="root", groups=[]), "is left alone")
    assert machine.do("getent passwd root") == before


def test_a_group_that_does_not_exist_is_a_failure(machine: OnSlice) -> None:
    """It is said, and no half-made user hides it."""
    machine.refuses(a_user(groups=["nosuch"]), "nosuch")
    assert machine.check(a_user(groups=["nosuch"])).status == 1


def test_a_user_killed_at_every_command_is_finished_by_the_next_run(machine: OnSlice) -> None:
    """Locks of the user database that a kill leaves are not in the way."""
    assert machine.killed_everywhere(a_user(), "! getent passwd tf-trial >/dev/null || userdel tf-trial", ":") >= 1


def test_only_a_user_that_tfheal_made_is_removed(machine: OnSlice) -> None:
    """One that was there before stays; removing twice is once."""
    machine.done(a_user())
    assert machine.remove(a_user()).status == 0
    assert machine.sh("getent passwd tf-trial").status == 2
    assert machine.remove(a_user()).status == 0
    machine.do("useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin tf-trial")
    machine.done(a_user())
    assert machine.remove(a_user()).status == 0
    assert machine.sh("getent passwd tf-trial").status == 0


def test_a_command_runs_until_its_guard_is_content(machine: OnSlice) -> None:
    """Done once; done again when its result is gone; undone on removal; its secret is on no argv."""
    release = a_release(
        {
            "kind": "command",
            "name": "make the table",
            "run": f"printf %s '⟦secret:admin:1⟧' >{FOLDER}/table; ps -eo args >{FOLDER}/seen",
            "done": f"test -s {FOLDER}/table",
            "undo": f"rm {FOLDER}/table",
        }
    )
    (step,) = steps(release, {("admin", 1): "correct horse"})
    machine.differs(step, "not done")
    machine.done(step)
    assert machine.do(f"cat {FOLDER}/table") == "correct horse"
    assert "correct horse" not in machine.do(f"cat {FOLDER}/seen")
    machine.heals(step, f"rm {FOLDER}/table", "not done")
    assert machine.remove(step).status == 0
    machine.differs(step, "not done")


def test_no_content_of_a_file_is_on_an_argv(machine: OnSlice) -> None:
    """Everybody on the machine can read the process list: while a file is written, its content is not in it."""
    content = "correct-horse-battery"
    step = a_file(content=content)

    looked = machine.sh(
        f"""(for i in $(seq 60); do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; sleep 0.01; done >{FOLDER}/seen) &
        for i in 1 2 3 4 5 6; do sh -s <<'SCRIPT'
{step.apply}
SCRIPT
        done; wait; grep -c -e {_base64(content)[:12]} {FOLDER}/seen"""
    )
    assert looked.said.strip() == "0"
