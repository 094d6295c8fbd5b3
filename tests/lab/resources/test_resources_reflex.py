"""The local reflex on a real slice, with nobody else at work on it: what it heals, what it leaves alone, how it goes."""

import json
from collections.abc import Iterator

import pytest
from on_slice import OnSlice
from releases import a_release

from tfheal.core.resources import Step, steps
from tfheal.core.resources.reflex_loop import VERSION
from tfheal.model.release import Release

pytestmark = pytest.mark.lab
UNIT = "tfheal-notes-web.service"
STATE = "/var/lib/tfheal/notes/web"
PART = "/etc/tfheal/reflex.d/notes-web.sh"
LOOP = "/etc/tfheal/reflex.sh"
SERVES = "test -e /run/trial-serves"
# The service says that it is alive by a file that it writes twice a second and that is gone when nobody reads it.
TEXT = """[Unit]
StartLimitIntervalSec=60
StartLimitBurst=3
[Service]
ExecStart=/bin/sh -c 'while :; do date +%%s >/run/trial-alive; sleep 0.3; done'
Restart=always
RestartSec=100ms
[Install]
WantedBy=multi-user.target
"""
ALIVE = "read -r then </run/trial-alive && [ $(($(date +%s) - then)) -le 1 ]"
APPLIED = f"mkdir -p {STATE} /var/log/tfheal; echo 'phase applied' >{STATE}/state"
# The same loop with shorter waits: what takes half a minute on a slice takes two seconds here.
QUICK = "s/^every=15 again=1 /every=1 again=0.2 /; s/backoff=15/backoff=2/"


def a_reflex(**changes: object) -> Release:
    """Return a release of a small service with a reflex of its own."""
    fields: dict[str, object] = {
        "start_timeout": 1,
        "reflex": {"loop": VERSION, "asks": f"{ALIVE} || exit 1", "patience": 3.0},
    }
    return a_release({"kind": "unit", "name": UNIT, "content": TEXT}, **(fields | changes))


def both(**changes: object) -> tuple[Step, Step]:
    """Return the step of the unit and that of its reflex."""
    unit, reflex = steps(a_reflex(**changes), {})
    return unit, reflex


@pytest.fixture
def slice_(machine: OnSlice) -> Iterator[OnSlice]:
    """Put the service and its reflex there, as a deploy does; both are gone after the test."""
    unit, reflex = both()
    machine.do(APPLIED)
    machine.done(unit)
    machine.done(reflex)
    yield machine
    machine.do(f"rm -rf /etc/tfheal/hands-off /var/lib/tfheal/pause.d; systemctl reset-failed {UNIT} 2>/dev/null || :")
    for step in (reflex, unit):
        machine.remove(step)
    machine.do(f"rm -rf {STATE} /var/log/tfheal /run/trial-alive /run/tfheal")


def changed(slice_: OnSlice, *words: str) -> None:
    """Change words in the loop, and start it anew."""
    change = "; ".join((QUICK, *words))
    slice_.do(f"sed -i '{change}' {LOOP}; grep -q '^every=1 ' {LOOP}; systemctl restart tfheal-reflex")


def comes_back(slice_: OnSlice, seconds: int) -> bool:
    """Return whether the service is alive again within that time."""
    tries = seconds * 5
    return slice_.sh(f"for i in $(seq {tries}); do sleep 0.2; {ALIVE} && exit 0; done; exit 1").status == 0


def done_by(slice_: OnSlice) -> list[str]:
    """Return the events of the record."""
    lines = slice_.do(f"cat {STATE}/reflex.jsonl 2>/dev/null || :").splitlines()
    return [json.loads(line)["event"] for line in lines]


HANG = f"systemctl kill -s STOP {UNIT}; sleep 2"
# While it is killed nobody may restart it: it would be killed once more, and a try be lost.
KILL = f"""systemctl stop tfheal-reflex
for i in $(seq 50); do
  [ "$(systemctl show -P ActiveState {UNIT})" != failed ] || break
  systemctl kill -s KILL {UNIT} 2>/dev/null || :; sleep 0.1
done; systemctl -q is-failed {UNIT} && rm /run/trial-alive && systemctl start tfheal-reflex"""


def test_it_heals_and_gives_up_within_its_budget(slice_: OnSlice) -> None:
    """A service that hangs, and one that systemd gave up, are restarted; a third time in half an hour is left alone."""
    changed(slice_)
    slice_.do(HANG)
    assert comes_back(slice_, 10)
    slice_.do(KILL)
    assert comes_back(slice_, 10)
    assert done_by(slice_) == ["restarted", "restarted"]
    slice_.do(KILL)
    assert not comes_back(slice_, 4)
    assert slice_.sh(f"systemctl is-failed {UNIT}").said == "failed\n"
    assert done_by(slice_) == ["restarted", "restarted", "gave-up"]
    # The owner's record goes on in one chain, and the system journal says what was done and nothing else.
    slice_.do("""prev=; while read -r line; do
      [ -z "$prev" ] || case $line in '{"prev":"'"$prev"'",'*) ;; *) exit 1 ;; esac
      prev=$(printf '%s\\n' "$line" | sha256sum | cut -c 1-64)
    done </var/log/tfheal/journal.jsonl; [ -n "$prev" ]""")
    said = slice_.do("journalctl -q -o cat -t tfheal-reflex --since -1min").splitlines()
    assert [line.split(": ")[1] for line in said] == ["restarted", "restarted", "gave-up"]


STOPS = {
    "hands off": ("touch /etc/tfheal/hands-off", "rm /etc/tfheal/hands-off"),
    "a pause of the app": (
        "mkdir -p /var/lib/tfheal/pause.d; date -u -d +1hour +%Y-%m-%dT%H:%M:%SZ >/var/lib/tfheal/pause.d/notes",
        "date -u -d -1min +%Y-%m-%dT%H:%M:%S.5+00:00 >/var/lib/tfheal/pause.d/notes",
    ),
    "a pause of the slice": (
        "mkdir -p /var/lib/tfheal/pause.d; echo 'no time at all' >/var/lib/tfheal/pause.d/_slice",
        "rm /var/lib/tfheal/pause.d/_slice",
    ),
    "a deploy": (f"echo 'phase applying' >{STATE}/state", f"echo 'phase applied' >{STATE}/state"),
    "a run at work": (
        "exec 7>>/run/tfheal/notes.lock; flock 7; sleep 100 >/dev/null 2>&1 & echo $! >/run/trial-holder",
        "kill $(cat /run/trial-holder); rm /run/trial-holder",
    ),
    "disabled": (f"systemctl -q disable {UNIT}", f"systemctl -q enable {UNIT}"),
}


def test_it_leaves_alone_what_others_have_in_hand(slice_: OnSlice) -> None:
    """Somebody said stop, a run is at work, a deploy did not end, a unit was disabled: nothing, until that is over."""
    changed(slice_, "s/backoff=2/backoff=0/", "s/most=2/most=99/")
    for count, (stop, over) in enumerate(STOPS.values(), start=1):
        slice_.do(f"{stop}\nsystemctl stop {UNIT}; rm -f /run/trial-alive; sleep 3; test ! -e /run/trial-alive")
        slice_.do(over)
        assert comes_back(slice_, 10), over
        assert done_by(slice_) == ["restarted"] * count
    # What systemd restarts by itself is only noted, once for all of it between two looks.
    slice_.do(f"""systemctl stop tfheal-reflex
for count in 1 2; do
  systemctl kill -s KILL {UNIT}
  for i in $(seq 100); do [ "$(systemctl show -P NRestarts {UNIT})" -lt $count ] || break; sleep 0.1; done
done
systemctl start tfheal-reflex
for i in $(seq 100); do ! grep -q '"systemd"' {STATE}/reflex.jsonl || break; sleep 0.2; done""")
    assert done_by(slice_)[len(STOPS) :] == ["systemd"]
    assert '"why":"restarts by systemd itself: 2"' in slice_.do(f"tail -n 1 {STATE}/reflex.jsonl")


DAMAGE = {
    f"rm {PART}": "missing",
    f"echo >>{PART}; chmod 644 {PART}": "mode is 644",
    f"echo >>{LOOP}": "the loop: content differs",
    f"rm {LOOP}": f"the loop is version 0, wanted {VERSION}",
    "systemctl -q disable --now tfheal-reflex": "is not enabled",
    "rm /etc/systemd/system/tfheal-reflex.service": "tfheal-reflex.service: missing",
}


def test_it_is_a_resource_like_any_other(slice_: OnSlice) -> None:
    """What is changed of it is put back, a newer loop serves older releases too, and it goes with the last part."""
    step = both()[1]
    for damage, detail in DAMAGE.items():
        slice_.heals(step, damage, detail)

    slice_.do(f"sed -i '2s/.*/# tfheal reflex 99/' {LOOP}; echo '# newer' >>{LOOP}")
    slice_.is_ok(step)
    slice_.heals(step, f"rm {PART}", "missing")
    assert slice_.do(f"tail -n 1 {LOOP}") == "# newer\n"
    slice_.heals(step, f"sed -i '2s/.*/# tfheal reflex 0/' {LOOP}", f"the loop is version 0, wanted {VERSION}")

    other = steps(a_reflex(component="db"), {})[-1]
    slice_.done(other)
    off = both(reflex={"loop": 1})[1]
    slice_.differs(off, "is to be off")
    slice_.done(off)
    assert slice_.do("ls /etc/tfheal/reflex.d; systemctl is-active tfheal-reflex") == "notes-db.sh\nactive\n"
    assert slice_.remove(other).status == 0
    left = "ls -d /etc/tfheal/reflex* /run/tfheal/reflex /etc/systemd/system/tfheal-reflex* 2>/dev/null"
    assert slice_.sh(f"{left}; systemctl is-active tfheal-reflex").said == "inactive\n"
    assert slice_.remove(other).status == 0
