"""Units and services on a real systemd: their text, their state, restarts that are due, and the hardening at work."""

import base64

import pytest
from on_slice import Answer, OnSlice
from releases import a_release, the_step

from tfheal.core.resources import Step, steps
from tfheal.core.resources.service import unit_text
from tfheal.model.playbook import Service
from tfheal.model.release import Release

pytestmark = pytest.mark.lab

NAME = "tfheal-notes-web.service"
PATH = f"/etc/systemd/system/{NAME}"
STATE = "/var/lib/tfheal/notes/web"
SLEEPER = "[Service]\nExecStart=/bin/sleep infinity\n{}\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(autouse=True)
def _clean(machine: OnSlice) -> None:
    """Begin each test without what another left."""
    machine.do(
        f"""systemctl disable --now 'tfheal-notes-*' {NAME} 2>/dev/null || :
        rm -rf /etc/systemd/system/tfheal-notes-* /root/trial /srv/trial {STATE}
        systemctl daemon-reload
        systemctl reset-failed
        mkdir /root/trial /srv/trial
        getent passwd tf-trial >/dev/null || useradd --system tf-trial"""
    )


def a_unit(text: str = "", **fields: object) -> Step:
    """Return the step of a unit that sleeps, with more lines in its [Service]."""
    return the_step({"kind": "unit", "name": NAME, "content": SLEEPER.format(text)} | fields)


def a_service(**fields: object) -> Release:
    """Return a release whose unit is made from a service."""
    whole = {"exec": "/bin/sleep infinity", "user": "tf-trial"} | fields
    text = unit_text(Service.model_validate(whole), description="a trial")
    return a_release({"kind": "unit", "name": NAME, "content": text})


def main_pid(machine: OnSlice) -> str:
    """Return the process of the service."""
    return machine.do(f"systemctl show -p MainPID --value {NAME}").strip()


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        (f"rm {PATH}", "unit file: missing"),
        (f"rm {PATH}; systemctl daemon-reload", "unit file: missing"),
        (f"echo '# more' >>{PATH}; systemctl daemon-reload", "unit file: content differs"),
        (f"echo garbage >{PATH}", "unit file: content differs"),
        (f"chmod 666 {PATH}", "unit file: mode is 666"),
        (f"ln -sf /dev/null {PATH}; systemctl daemon-reload", "is masked"),
        (f"touch -d tomorrow {PATH}", "systemd has not read its new text"),
        (f"systemctl disable -q {NAME}", "is not enabled"),
        (f"systemctl stop {NAME}", "not running: inactive (dead, success)"),
        (f"systemctl kill -s KILL {NAME}; sleep 0.2", "not running: failed (failed, signal)"),
        (f"touch {STATE}/restart-needed", "a restart is due"),
        (f"touch {STATE}/reload-needed", "a reload is due"),
    ],
)
def test_a_unit_is_put_right(machine: OnSlice, damage: str, detail: str) -> None:
    """Its text, whether it is masked or enabled, whether it runs, and what is due."""
    machine.done(a_unit())
    machine.heals(a_unit(), f"mkdir -p {STATE}; {damage}", detail)


def test_a_unit_that_is_as_wanted_is_not_restarted(machine: OnSlice) -> None:
    """Applying once more does not disturb the service."""
    machine.done(a_unit())
    before = main_pid(machine)
    machine.done(a_unit())
    assert main_pid(machine) == before
    machine.heals(a_unit(), f"chmod 600 {PATH}; chown nobody {PATH}", "mode is 600")
    machine.heals(a_unit(), f"systemctl disable -q {NAME}", "is not enabled")
    assert main_pid(machine) == before


@pytest.mark.parametrize("due", ["restart", "reload"])
def test_what_is_due_is_done_once(machine: OnSlice, due: str) -> None:
    """A due restart makes a new process, a due reload keeps it, and then neither is due any more."""
    step = a_unit("ExecReload=/bin/sh -c 'echo again >>/root/trial/reloaded'")
    machine.done(step)
    before = main_pid(machine)
    machine.do(f"mkdir -p {STATE}; touch {STATE}/{due}-needed")
    machine.done(step)
    assert (main_pid(machine) == before) == (due == "reload")
    assert machine.sh("cat /root/trial/reloaded").said.count("again") == (due == "reload")
    machine.done(step)
    assert machine.sh("cat /root/trial/reloaded").said.count("again") == (due == "reload")


def test_new_text_restarts_and_enables_anew(machine: OnSlice) -> None:
    """The process is one of the new text, and what wanted the unit before does no longer."""
    machine.done(a_unit())
    text = SLEEPER.format("Environment=NEW=1").replace("multi-user", "graphical")
    machine.done(a_unit(content=text))
    assert "NEW=1" in machine.do(f"tr '\\0' '\\n' </proc/{main_pid(machine)}/environ")
    assert machine.do(f"find /etc/systemd/system -type l -name {NAME}") == (
        f"/etc/systemd/system/graphical.target.wants/{NAME}\n"
    )


def test_a_start_that_fails_says_why(machine: OnSlice) -> None:
    """The state, the exit status and the last lines of its log; the next run starts it anew."""
    broken = a_unit("ExecStartPre=/bin/sh -c 'echo the port is taken; test -e /root/trial/fixed || exit 3'")
    machine.refuses(broken, "the port is taken")
    machine.refuses(broken, f"{NAME} did not restart: failed (failed, exit-code")
    machine.differs(broken, "not running: failed (failed, exit-code)")
    machine.do("touch /root/trial/fixed")
    machine.done(broken)


def test_a_program_that_dies_at_once_is_a_failure(machine: OnSlice) -> None:
    """Systemd takes the start for done; a short look shows that it is not."""
    step = the_step(
        {
            "kind": "unit",
            "name": NAME,
            "content": "[Service]\nType=exec\nRestart=always\nRestartSec=1\n"
            "ExecStart=/bin/sh -c 'sleep 0.2; echo no database; exit 4'\n[Install]\nWantedBy=multi-user.target\n",
        }
    )
    machine.refuses(step, "did not stay up: activating")
    machine.refuses(step, "no database")


def test_a_start_limit_that_was_hit_is_no_obstacle(machine: OnSlice) -> None:
    """A failed unit whose start limit is spent starts again once its reason is gone."""
    step = a_unit("ExecStartPre=/bin/test ! -e /root/trial/broken\nRestart=always\nRestartSec=100ms")
    machine.done(step)
    machine.do(f"touch /root/trial/broken; systemctl kill -s KILL {NAME}")
    machine.do(f"until [ $(systemctl is-active {NAME}) = failed ]; do sleep 0.1; done")
    machine.heals(step, "rm /root/trial/broken", "not running: failed")


def test_a_unit_that_shall_not_run_is_left_as_it_is(machine: OnSlice) -> None:
    """For what a timer starts: installed, neither started nor stopped; disabled when that is wanted."""
    step = a_unit(running=False, enabled=False)
    machine.done(step)
    assert machine.sh(f"systemctl is-active {NAME}").said == "inactive\n"
    machine.heals(step, f"systemctl enable -q --now {NAME}", "is enabled")
    assert machine.sh(f"systemctl is-active {NAME}").said == "active\n"


def test_a_timer_and_the_unit_it_starts(machine: OnSlice) -> None:
    """A timer is active while it waits; a unit without [Install] has nothing to enable."""
    job, timer = steps(
        a_release(
            {
                "kind": "unit",
                "name": "tfheal-notes-tidy.service",
                "content": "[Service]\nType=oneshot\nExecStart=/bin/touch /root/trial/ran\n",
                "running": False,
            },
            {
                "kind": "unit",
                "name": "tfheal-notes-tidy.timer",
                "content": "[Timer]\nOnActiveSec=0\n[Install]\nWantedBy=timers.target\n",
            },
        ),
        {},
    )
    machine.done(job)
    machine.done(timer)
    machine.do("sleep 0.5; test -e /root/trial/ran")
    machine.is_ok(job)
    machine.heals(timer, "systemctl stop tfheal-notes-tidy.timer", "not running: inactive")


def test_a_oneshot_that_went_well_counts_as_running(machine: OnSlice) -> None:
    """Done is as good as it gets; one that failed differs."""
    text = (
        "[Service]\nType=oneshot\nExecStart=/bin/test ! -e /root/trial/broken\n[Install]\nWantedBy=multi-user.target\n"
    )
    step = the_step({"kind": "unit", "name": NAME, "content": text})
    machine.done(step)
    machine.do(f"touch /root/trial/broken; systemctl start {NAME} || :")
    machine.differs(step, "not running: failed (failed, exit-code)")


def test_a_unit_killed_at_every_command_is_finished_by_the_next_run(machine: OnSlice) -> None:
    """Whatever was reached: in the end the process is one of the new text, and nothing is due."""
    old, new = a_unit("Environment=GENERATION=old"), a_unit("Environment=GENERATION=new")
    before = f"""systemctl stop {NAME} 2>/dev/null || :
{old.apply.replace("exec 2>&1", "").replace("sleep 0.2", ":")}
rm -f /run/none"""
    alive_or_due = f"systemctl is-active -q {NAME} || test -e {STATE}/restart-needed"
    # Every fifth command, for the sake of time.
    commands = machine.killed_everywhere(new, before, alive_or_due, first=3, every=5)
    assert commands > 10
    assert "GENERATION=new" in machine.do(f"tr '\\0' '\\n' </proc/{main_pid(machine)}/environ")


def test_a_unit_is_removed_whatever_state_it_is_in(machine: OnSlice) -> None:
    """Failed, masked or without its file: nothing of it is left, and a second time nothing happens."""
    for damage in (
        f"systemctl kill -s KILL {NAME}",
        f"ln -sf /dev/null {PATH}",
        f"rm {PATH}",
    ):
        machine.done(a_unit())
        pid = main_pid(machine)
        machine.do(f"{damage}; systemctl daemon-reload")
        assert machine.remove(a_unit()) == Answer(0, "")
        assert machine.remove(a_unit()) == Answer(0, "")
        assert machine.do(f"find /etc/systemd /run/systemd/system -name '*{NAME}*'; ls {STATE}") == ""
        assert "not-found" in machine.do(f"systemctl show -p LoadState {NAME}")
        assert machine.sh(f"test -d /proc/{pid}").status == 1


def test_the_hardened_unit_is_one_that_systemd_understands(machine: OnSlice) -> None:
    """No directive of ours is unknown to it, and it thinks little of what is left to attack."""
    (step,) = steps(a_service(memory="64M", tasks=20, writable=["/srv/trial"]), {})
    machine.done(step)
    assert machine.do(f"systemd-analyze verify {PATH} 2>&1") == ""
    exposure = float(machine.do(f"systemd-analyze security --no-pager {NAME} | tail -n 1").split()[-3])
    assert exposure < 2.5


def test_a_service_gets_its_environment_to_the_letter(machine: OnSlice) -> None:
    """Quotes, backslashes, percent and dollar signs, spaces and line breaks arrive as they were written."""
    values = {"A": 'it\'s "quoted" \\ back', "B": "100% $HOME ${PATH} %h", "C": "two\nlines\tand tab", "D": " x  y "}
    (step,) = steps(a_service(environment=values), {})
    machine.done(step)
    environ = machine.do(f"base64 -w 0 /proc/{main_pid(machine)}/environ")
    assert dict(item.split("=", 1) for item in _unpacked(environ).split("\0") if item) | values == dict(
        item.split("=", 1) for item in _unpacked(environ).split("\0") if item
    )


def test_a_service_is_confined(machine: OnSlice) -> None:
    """It writes where it may and nowhere else, gains nothing, sees its credentials, and others do not see them."""
    machine.do("chown tf-trial /srv/trial; umask 077; printf s3cret >/root/trial/secret")
    script = (
        "touch /srv/trial/mine; touch /srv/other; touch /etc/x; touch /usr/x; cat /root/trial/secret; "
        'cat "$CREDENTIALS_DIRECTORY/admin" >/srv/trial/seen; cat "$FILE" >>/srv/trial/seen; '
        "grep -e NoNewPrivs -e CapBnd /proc/self/status >>/srv/trial/seen; id -un >>/srv/trial/seen"
    )
    release = a_service(
        exec=f"/bin/sh -c '{script}; exec sleep infinity'".replace("$", "$$"),
        writable=["/srv/trial"],
        credentials={"admin": "/root/trial/secret"},
        environment={"FILE": "%d/admin"},
    )
    (step,) = steps(release, {})
    machine.done(step)
    machine.do("sleep 0.3")
    assert machine.do("ls /srv/trial; cat /srv/trial/seen") == (
        "mine\nseen\ns3crets3cretCapBnd:\t0000000000000000\nNoNewPrivs:\t1\ntf-trial\n"
    )
    assert machine.do("stat -c %a /srv/trial/mine") == "640\n"
    assert machine.sh("ls /srv/other /etc/x /usr/x 2>/dev/null").said == ""
    assert "s3cret" not in machine.do(f"systemctl show {NAME}; tr '\\0' ' ' </proc/{main_pid(machine)}/environ")


def test_a_service_may_have_a_port_below_1024(machine: OnSlice) -> None:
    """If its playbook says so, and only then."""
    for wanted, mask in ((True, "0000000000000400"), (False, "0000000000000000")):
        (step,) = steps(a_service(ports_below_1024=wanted), {})
        machine.done(step)
        said = machine.do(f"grep -E 'Cap(Eff|Bnd)' /proc/{main_pid(machine)}/status")
        assert said == f"CapEff:\t{mask}\nCapBnd:\t{mask}\n"


def test_systemd_restarts_a_service_within_limits(machine: OnSlice) -> None:
    """One kill is healed by systemd itself; without the reflex it is not."""
    (step,) = steps(a_service(), {})
    machine.done(step)
    machine.do(f"systemctl kill -s KILL {NAME}; sleep 1.8")
    machine.is_ok(step)
    machine.do(f"rm {PATH}")
    text = unit_text(
        Service.model_validate({"exec": "/bin/sleep infinity", "user": "tf-trial"}), description="x", reflex=False
    )
    quiet = the_step({"kind": "unit", "name": NAME, "content": text})
    machine.done(quiet)
    machine.do(f"systemctl kill -s KILL {NAME}; sleep 1.5")
    machine.differs(quiet, "not running: failed (failed, signal)")


def _unpacked(encoded: str) -> str:
    return base64.b64decode(encoded).decode()
