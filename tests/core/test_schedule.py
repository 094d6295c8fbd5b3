"""The texts of a schedule: read by real systemd and sh, whatever is in a path; and a crontab keeps what is others'."""

import subprocess
from pathlib import Path

import pytest

from tfheal.base.errors import UsageError
from tfheal.core import schedule as texts
from tfheal.model.schedule import Schedule

ODD = '/srv/50% of $HOME\'s "best" \\ work'
OURS = Schedule("tfheal-tick-work-1a2b3c", ODD, ("/bin/echo", "-n"), 300.0, 240.0, "ops", {"KEY": "/etc/100%/a b"})
OTHERS = "MAILTO=ops\n\n# theirs\n*/5 * * * *  backup 100\\%\n@daily tfheal tick\n"


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """Both units are valid, and nothing in them is overlooked."""
    units = {f"{OURS.name}.service": texts.service(OURS), f"{OURS.name}.timer": texts.timer(OURS)}
    for name, text in units.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in units]
    ran = subprocess.run(["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    assert [line for line in (ran.stdout + ran.stderr).splitlines() if OURS.name in line] == []


def test_a_unit_says_whose_it_is_and_escapes_what_is_special() -> None:
    """The first line is the mark; percent, dollar, quotes and backslashes of a path stay what they are."""
    service = texts.service(OURS).splitlines()
    assert service[0] == texts.mark(OURS)
    assert "User=ops" in service
    assert 'Environment="KEY=/etc/100%%/a b"' in service
    (run,) = (line for line in service if line.startswith("ExecStart="))
    assert run.endswith('"--workspace" "/srv/50%% of $$HOME\'s \\"best\\" \\\\ work"')
    assert '"--deadline" "240s"' in run
    assert "OnUnitInactiveSec=300s\nRandomizedDelaySec=30s\n" in texts.timer(OURS)
    with pytest.raises(UsageError, match="control characters"):
        texts.service(Schedule("x", "/srv/a\nExecStartPre=rm", ("/bin/true",), 1.0, 1.0))


def test_a_line_of_cron_runs_what_is_meant() -> None:
    """Sh, which gets the line with its escaped percents as cron gives it, runs the command with its paths whole."""
    mark, line = texts.entry(OURS).splitlines()
    assert mark == texts.mark(OURS)
    when, _, run = line.partition(" * * * * ")
    assert when.endswith("-59/5")
    ran = subprocess.run(["sh", "-c", run.replace("\\%", "%")], capture_output=True, text=True, check=True)
    assert ran.stdout == f"tick --quiet --deadline 240s --workspace {ODD}"


@pytest.mark.parametrize("every", [30.0, 90.0, 420.0, 7_200.0])
def test_cron_does_not_know_every_interval(every: float) -> None:
    """What it would run at other times than asked is refused."""
    with pytest.raises(UsageError, match="cron cannot run"):
        texts.entry(Schedule("x", "/srv/a", ("/bin/true",), every, 1.0))


@pytest.mark.parametrize("before", ["", OTHERS, OTHERS.rstrip("\n")])
def test_a_crontab_keeps_what_is_not_ours(before: str) -> None:
    """Ours comes at the end, once however often; taken out, all is as it was."""
    once = texts.with_entry(before, OURS)
    assert once.startswith(before)
    assert texts.with_entry(once, OURS) == once
    assert texts.without_entry(once, OURS).rstrip("\n") == before.rstrip("\n")
    assert texts.without_entry(before, OURS) == before


def test_each_workspace_has_a_name_of_its_own() -> None:
    """Readable, and different for folders of one name."""
    names = [texts.name_of(folder) for folder in ("/srv/My Work", "/home/My Work", "/")]
    assert len(set(names)) == 3
    assert names[0].startswith("tfheal-tick-my-work-")
