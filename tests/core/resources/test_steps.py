"""Steps as text: valid POSIX sh whatever the values, secrets only as content, and the order of the release."""

import base64
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from releases import a_release, the_step

from tfheal.base.errors import UsageError
from tfheal.core import awaiting
from tfheal.core.resources import Step, steps
from tfheal.core.resources.packages import packages_removal
from tfheal.core.resources.step import apply_script, check_script, octal, slice_path
from tfheal.model.playbook import Component
from tfheal.model.release import secret_token

UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
EVERY_KIND: tuple[dict[str, object], ...] = (
    {"kind": "packages", "names": ["curl", "jq=1.7.1-6"]},
    {"kind": "user", "name": "tf-notes-web", "groups": ["adm"]},
    {"kind": "directory", "path": "/srv/tfheal/notes/web", "owner": "tf-notes-web", "data": True},
    {"kind": "file", "path": "/opt/tfheal/notes/web/config/main.conf", "content": "it's $(here)\n", "mode": "0640"},
    {"kind": "file", "path": "/opt/tfheal/notes/web/logo", "base64": "AAE=", "on_change": "nothing"},
    {"kind": "venv", "home": "/opt/tfheal/notes/web", "lock": "six==1.17.0 --hash=sha256:00\n"},
    {
        "kind": "archive",
        "home": "/opt/tfheal/notes/web/a",
        "parts": [{"url": "https://a.example/x.tgz", "sha256": "0" * 64}],
    },
    {"kind": "container", "name": "tfheal-notes-web-side", "content": "FROM scratch\n", "context": "/srv/x"},
    {"kind": "npm", "home": "/opt/tfheal/notes/web/n", "lock": '{"lockfileVersion": 3, "packages": {"": {}}}'},
    {"kind": "firewall", "name": "tfheal-notes-web", "allow": [{"port": "8080", "peers": ["fd00::1", "10.0.0.0/8"]}]},
    {"kind": "command", "name": "init", "run": "touch /x", "done": "test -e /x", "undo": "rm -f /x"},
    {"kind": "unit", "name": "tfheal-notes-web.service", "content": UNIT},
)


def texts(step: Step) -> tuple[str, ...]:
    """Return every script of a step."""
    return tuple(text for text in (step.check, step.apply, step.remove) if text is not None)


def assert_parses(script: str) -> None:
    """Let a real shell read a script without running it."""
    read = subprocess.run(["sh", "-n"], input=script.encode(), capture_output=True, check=False)
    assert read.returncode == 0, read.stderr.decode()


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script on this machine, as a step is run: on stdin, in the C locale."""
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False, timeout=10)


@pytest.mark.parametrize("resource", EVERY_KIND, ids=lambda resource: str(resource["kind"]))
def test_every_script_of_every_kind_is_posix_sh(resource: dict[str, object]) -> None:
    """A shell reads each of them without complaint."""
    for script in texts(the_step(resource)):
        assert_parses(script)
    assert_parses(packages_removal(["curl", "jq=1.7.1-6"]))


def test_steps_come_in_the_order_of_the_release() -> None:
    """The runner goes through them as they are, so their order is the playbook's."""
    made = steps(a_release(*EVERY_KIND), {})
    assert [step.id.partition(":")[0] for step in made] == [str(resource["kind"]) for resource in EVERY_KIND]
    assert len({step.id for step in made}) == len(made)


@given(value=st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_a_value_reaches_its_script_as_it_is(value: str) -> None:
    """Whatever it holds, it is data: it comes out as it went in, and runs nothing."""
    done = subprocess.run(
        ["sh"],
        input=check_script('printf %s "$value"\n', value=value).encode(),
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert done.stdout == value.encode()
    assert not done.stderr


@pytest.mark.parametrize("hostile", ["a'b", "a b", "$(touch /tmp/owned)", "`id`", "-rf", "a;b", "ünï", '"'], ids=repr)
def test_hostile_names_stay_names(hostile: str) -> None:
    """Paths, owners and modes are quoted, so every script still parses."""
    for kind in ("file", "directory"):
        resource: dict[str, object] = {"kind": kind, "path": f"/srv/{hostile}", "owner": hostile, "group": hostile}
        for script in texts(the_step(resource | ({"content": hostile} if kind == "file" else {}))):
            assert_parses(script)


def test_a_secret_is_content_and_nothing_else() -> None:
    """It is in the apply as base64 only, not in the check, not in a diff; and without secrets there is a diff."""
    content = f"password = {secret_token('admin', 2)}\n"
    step = the_step({"kind": "file", "path": "/etc/x.conf", "content": content}, {("admin", 2): "correct horse"})
    encoded = base64.b64encode(b"password = correct horse\n").decode()
    assert step.diff is None
    assert "correct horse" not in step.apply + step.check + (step.remove or "")
    assert encoded in step.apply
    assert encoded not in step.check
    assert "show=no" in step.check
    plain = the_step({"kind": "file", "path": "/etc/x.conf", "content": "a = 1\n"})
    assert plain.diff == ("/etc/x.conf", "a = 1\n")


def test_a_unit_with_a_secret_is_refused() -> None:
    """Units can be read by everybody on the machine."""
    content = f"[Service]\nEnvironment=PASSWORD={secret_token('admin', 1)}\n"
    with pytest.raises(UsageError, match="secret"):
        the_step({"kind": "unit", "name": "tfheal-notes-web.service", "content": content})


@pytest.mark.parametrize("name", ["evil", "../x.service", "a b.service", "x.mount", "-x.service", "a@.service"])
def test_a_name_that_is_no_unit_is_refused(name: str) -> None:
    """Only whole names of units that we make."""
    with pytest.raises(UsageError, match="not the name of a unit"):
        the_step({"kind": "unit", "name": name, "content": UNIT})


def test_what_a_change_means_for_the_service() -> None:
    """Software and users restart it, a file says so itself, and what does not touch the process does nothing."""
    effects = {step.id.partition(":")[0]: step.effect for step in steps(a_release(*EVERY_KIND), {})}
    assert effects == {
        "packages": "restart",
        "user": "restart",
        "directory": "nothing",
        "file": "nothing",
        "venv": "restart",
        "archive": "restart",
        "container": "nothing",
        "npm": "restart",
        "firewall": "nothing",
        "command": "nothing",
        "unit": "nothing",
    }
    reload_step = the_step({"kind": "file", "path": "/etc/x", "content": "", "on_change": "reload"})
    assert reload_step.effect == "reload"


def test_a_due_restart_is_marked_where_the_unit_looks_for_it() -> None:
    """The apply trip sets EFFECT-needed in the state folder: what the service's own check and apply honour."""
    unit = steps(a_release(*EVERY_KIND), {})[-1]
    assert "\nrestart=/var/lib/tfheal/notes/web/restart-needed\n" in unit.check
    assert "\nreload=/var/lib/tfheal/notes/web/reload-needed\n" in unit.apply


def test_a_unit_is_given_the_time_that_its_own_limits_allow() -> None:
    """To stop, to start, and a minute more."""
    slow = UNIT.replace("[Install]", "TimeoutStopSec=600\n[Install]")
    assert the_step({"kind": "unit", "name": "x.service", "content": slow}).timeout == 720
    assert the_step({"kind": "unit", "name": "x.service", "content": UNIT}).timeout == 210


def test_another_unit_has_marks_of_its_own() -> None:
    """A timer beside the service is not restarted by the service's marks."""
    timer = the_step({"kind": "unit", "name": "tfheal-notes-web-tidy.timer", "content": UNIT})
    assert "/var/lib/tfheal/notes/web/restart-needed.tfheal-notes-web-tidy.timer\n" in timer.check


def test_what_holds_data_goes_only_with_it() -> None:
    """The folder, what lies on its way, and the user that owns it; nothing else."""
    made = steps(
        a_release(
            {"kind": "user", "name": "keeper"},
            {"kind": "user", "name": "other"},
            {"kind": "directory", "path": "/srv/app"},
            {"kind": "directory", "path": "/srv/app/files", "owner": "keeper"},
            {"kind": "directory", "path": "/srv/app/files/inner"},
            {"kind": "directory", "path": "/srv/apple", "owner": "other"},
            data=[{"name": "files", "path": "/srv/app/files"}],
        ),
        {},
    )
    assert {step.id: step.holds_data for step in made} == {
        "user:keeper": True,
        "user:other": False,
        "directory:/srv/app": True,
        "directory:/srv/app/files": True,
        "directory:/srv/app/files/inner": True,
        "directory:/srv/apple": False,
    }


@pytest.mark.parametrize("path", ["/", "//", "/srv/../etc", "/a\nb", "/.", "/a\tb"])
def test_a_path_that_misleads_is_refused(path: str) -> None:
    """No root, no way upwards, no control characters."""
    with pytest.raises(UsageError):
        slice_path(path)


@pytest.mark.parametrize(
    ("written", "plain"), [("/srv/a/", "/srv/a"), ("//srv//a", "/srv/a"), ("/srv/./a", "/srv/a"), ("/a b", "/a b")]
)
def test_a_path_has_one_form(written: str, plain: str) -> None:
    """Superfluous slashes do not make another path."""
    assert slice_path(written) == plain


@pytest.mark.parametrize(("written", "plain"), [("0644", "644"), ("0000", "0"), ("4755", "4755"), ("0007", "7")])
def test_a_mode_is_compared_as_stat_prints_it(written: str, plain: str) -> None:
    """Leading zeros are not a difference."""
    assert octal(written) == plain


def test_a_command_is_checked_by_its_guard() -> None:
    """Passes, fails with what it says, or cannot be asked at all."""

    def asked(done: str) -> tuple[int, str]:
        answer = run(the_step({"kind": "command", "name": "x", "run": ":", "done": done}).check)
        return answer.returncode, answer.stdout.strip()

    assert asked("exit 0") == (0, "")
    assert asked("echo no table >&2; exit 7") == (1, "not done: no table")
    assert asked("false") == (1, "not done")
    status, detail = asked("surely-not-a-command")
    assert status == 2
    assert "surely-not-a-command" in detail
    assert asked("if")[0] == 2


def test_a_command_must_have_done_what_its_guard_asks() -> None:
    """A command that ends well but leaves its guard unhappy has failed."""

    def applied(command: str, done: str) -> tuple[int, str]:
        answer = run(the_step({"kind": "command", "name": "x", "run": command, "done": done}).apply)
        return answer.returncode, answer.stdout.strip()

    assert applied("true", "true") == (0, "")
    assert applied("false; true", "true") == (0, "")
    assert applied("echo broken; exit 3", "true") == (1, "broken\nit failed with status 3")
    status, said = applied("true", "false")
    assert status == 1
    assert "its guard still says that it is not done" in said


def test_what_an_apply_prints_on_failure_is_on_stdout() -> None:
    """The runner reads one stream, so what tools say on stderr goes there too."""
    failed = run(apply_script("ls /surely/not/there\n"))
    assert failed.returncode != 0
    assert "/surely/not/there" in failed.stdout
    assert not failed.stderr


def test_data_is_migrated_right_before_its_service_starts() -> None:
    """With all that it may need there, by shell that parses, and with a secret as content; what is only set down is not migrated."""
    changes = {"migrate": {"command": f"bring --password {secret_token('admin', 1)}", "user": "tf-notes-web"}}
    release = a_release(*EVERY_KIND, **changes)
    made = steps(release, {("admin", 1): "it's"})
    assert [one.id for one in made][-2:] == ["migrate", "unit:tfheal-notes-web.service"]
    for script in texts(made[-2]):
        assert_parses(script)
    assert "bring --password it" in made[-2].apply
    assert "migrate" not in {one.id for one in awaiting.held_back(release, made)}
    assert "migrate" not in {one.id for one in steps(awaiting.quiet(release), {})}


def test_data_that_another_instance_migrated_is_only_written_down() -> None:
    """Of the series that the data comes to, not of the version; the command is not run again."""
    changes = {"migrate": {"command": "bring it there", "user": "tf-notes-web", "series": "7.0"}, "version": "7.0.59"}
    release = a_release(*EVERY_KIND, **changes)
    (once,) = (one for one in steps(release, {}) if one.id == "migrate")
    (then,) = (one for one in steps(release, {}, migrated=True) if one.id == "migrate")
    assert ("bring it there" in once.apply, "bring it there" in then.apply) == (True, False)
    assert (once.check, "version=7.0\n" in once.check) == (then.check, True)
    assert_parses(then.apply)


def test_what_has_no_service_has_nothing_to_stop_for_a_migration() -> None:
    """A playbook that says otherwise is told so."""
    with pytest.raises(ValueError, match="while the service of the component is stopped"):
        Component.model_validate({"migrate": {"command": "true"}})
