"""Which updates are installed when and in which order, what the owner forbids, and what is believed of a report."""

import base64
import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tfheal.core.charter import forbids, withholds
from tfheal.core.patch_rules import Wish, barred, chosen, gated, left_out, waves
from tfheal.core.patching import PatchOrder, booted, fetch, follow, over, progress, reboot, report, take_back, upgrade
from tfheal.model.app import Reboots
from tfheal.model.facts import Fact, Known, Unknown
from tfheal.model.patches import NEVER_BACK, Patch, Patched, PatchOutcome, PatchPlan, PatchReport, PatchRun, Pending
from tfheal.model.window import Window

DAY = 86_400
URGENT = Patch("openssl", "1", "2", 8 * DAY, secured=True)
FRESH = Patch("curl", "1", "2", 60)
PLAIN = Patch("vim", "1", "2", 90 * DAY, security=False)
HELD = Patch("nginx", "1", "2", DAY, held=True)
BAD = Patch("bad", "1", "2", DAY, taken_back=True)
NIGHT = Window.model_validate({"start": "02:00", "duration": "3h"})
SHORT = Window.model_validate({"start": "02:00", "duration": "2m"})
NOON, THREE = (datetime(2026, 11, 23, hour, tzinfo=UTC) for hour in (12, 3))
MARKER = "0123456789abcdef"


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (Wish(), (URGENT, FRESH, PLAIN)),
        (Wish(security=True), (URGENT, FRESH)),
        (Wish(again=True), (URGENT, FRESH, PLAIN, BAD)),
    ],
)
def test_what_is_held_or_was_taken_back_is_left_alone(wish: Wish, found: tuple[Patch, ...]) -> None:
    """What broke an app comes back only when it is asked for, and what is left out for it is told."""
    pending = Pending((URGENT, FRESH, PLAIN, HELD, BAD), Known(0))
    assert chosen(pending, wish) == found
    assert left_out(pending, wish) == (() if wish.again else (BAD,))


def test_a_slice_warns_its_own_owner_alone() -> None:
    """What it says that it took back is left out on all slices of its owner, and on others only where a second owner's says so."""
    back = replace(URGENT, taken_back=True)
    slices = {"evil-1": (back, FRESH), "evil-2": (URGENT,), "acme-1": (URGENT, FRESH), "bob-1": (FRESH,)}
    owners = {name: name.partition("-")[0] for name in (*slices, "silent-1")}

    def bad(slices: dict[str, tuple[Patch, ...]]) -> set[str]:
        """Return the slices on which openssl is left out."""
        found: dict[str, Fact[Pending]] = {name: Known(Pending(one, Known(0))) for name, one in slices.items()}
        plan = PatchPlan({**found, "silent-1": Unknown("away")}, {}).warned(owners)
        assert plan.slices["silent-1"] == Unknown("away")
        wish = Wish(security=True, auto=True)
        known = {name: one.value for name, one in plan.slices.items() if isinstance(one, Known)}
        return {name for name, one in known.items() if [each.package for each in left_out(one, wish)] == ["openssl"]}

    assert bad(slices) == {"evil-1", "evil-2"}
    assert bad({**slices, "bob-1": (back,)}) == {"evil-1", "evil-2", "acme-1", "bob-1"}


@pytest.mark.parametrize(
    ("windows", "now", "patches", "found"),
    [
        ((None, None), NOON, (FRESH, PLAIN), (FRESH, PLAIN)),
        ((NIGHT,), THREE, (FRESH, PLAIN), (FRESH, PLAIN)),
        ((NIGHT,), NOON, (FRESH, PLAIN), ()),
        ((NIGHT, None), NOON, (PLAIN,), ()),
        ((NIGHT,), NOON, (URGENT, FRESH, PLAIN), (URGENT,)),
        ((SHORT,), THREE, (FRESH,), ()),
    ],
)
def test_windows_gate_patches(
    windows: tuple[Window | None, ...], now: datetime, patches: tuple[Patch, ...], found: tuple[Patch, ...]
) -> None:
    """Every app on the slice has its say; a security update that waited as long as it may waits no longer."""
    allowed, until = gated(patches, windows, 7 * DAY, now)
    assert allowed == found
    assert (until is None) == (found == patches or windows == (SHORT,))


def test_no_app_has_two_slices_in_a_wave() -> None:
    """Slices without apps, and of different apps, go together."""
    apps = {"a1": ("a",), "a2": ("a", "b"), "b1": ("b",), "c1": ("c",), "none": ()}
    assert waves(apps, {}) == (("a1", "b1", "c1", "none"), ("a2",))
    assert waves(apps, {}, alone_first=True) == (("a1",), ("a2", "c1", "none"), ("b1",))
    assert waves({}, {}) == waves({}, {}, alone_first=True) == ()


def test_no_gateway_is_in_a_wave_with_what_it_leads_to() -> None:
    """Else nobody could drain what is worked on. Apps behind one gateway do not wait for each other."""
    apps = {"a1": ("a",), "b1": ("b",), "edge1": ("edge",), "c1": ("c",), "a2": ("a",), "edge2": ("edge",)}
    behind = {"a": "edge", "b": "edge"}
    assert waves(apps, behind) == (("a1", "b1", "c1"), ("edge1",), ("a2",), ("edge2",))
    assert waves({"edge1": ("edge",), "a1": ("a",)}, behind) == (("edge1",), ("a1",))
    assert waves({"both": ("a", "edge"), "b1": ("b",)}, behind) == (("both",), ("b1",))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", ""),
        ('forbid = ["reboot"]', ""),
        ('forbid = ["patch"]', "forbids patch"),
        ("forbid = patch", "cannot be read"),
        ('forbid = "patch"', "no list"),
        (f"forbid = {'[' * 8_000}", "cannot be read"),
        (f"size = {'9' * 8_000}", "cannot be read"),
        (f'forbid = ["patch", 0x{"f" * 8_000}]', "forbids patch"),
    ],
)
def test_a_charter_forbids(written: str, why: str) -> None:
    """What cannot be read forbids everything."""
    assert why in forbids(written, "patch")
    assert bool(why) == bool(forbids(written, "patch"))


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ('allow = ["data-leaves"]', ""),
        ("", "does not allow data-leaves"),
        ('forbid = ["patch"]', "does not allow data-leaves"),
        ("allow = [", "cannot be read"),
        ('allow = "data-leaves"', "no list"),
        ("?", "cannot be read"),
    ],
)
def test_a_charter_allows(written: str, why: str) -> None:
    """Only a word that is there allows anything."""
    assert why in withholds(written, "data-leaves")
    assert bool(why) == bool(withholds(written, "data-leaves"))


@pytest.mark.parametrize(
    ("written", "up", "words", "who", "why"),
    [
        ('allow = ["reboot"]', Known(600), ("by-hand", "auto"), "", ""),
        ('allow = ["reboot"]', Known(600), ("auto",), "tick", ""),
        ('allow = ["reboot"]', Known(600), ("by-hand", "auto"), "tick", "does not allow it"),
        ('allow = ["reboot"]', Known(600), ("never", "auto"), "", "does not allow it"),
        ("", Known(600), ("by-hand",), "", "charter does not allow reboot"),
        ('allow = ["reboot"]\nforbid = ["reboot"]', Known(600), ("by-hand",), "", "charter forbids reboot"),
        ("allow = [", Known(600), ("by-hand",), "", "cannot be read"),
        ('allow = ["reboot"]', Known(119), ("by-hand",), "", "it booted 119 s ago"),
        ('allow = ["reboot"]', Unknown("?"), ("by-hand",), "", "did not say since when"),
    ],
)
def test_a_reboot_has_the_leave_of_all(
    written: str, up: Fact[int], words: tuple[Reboots, ...], who: str, why: str
) -> None:
    """Every app on the slice, its owner in so many words, and the time since the last one: what is not known says no."""
    found = barred(Pending((), Known(0), reboot=True, charter=written, up=up), words, 120.0, auto=who == "tick")
    assert why in found
    assert bool(why) == bool(found)


def test_a_report_is_read_as_far_as_it_came() -> None:
    """Lines of others and words that are none are passed over; what a slice says is neutralised."""
    failed = base64.b64encode(b"apt will not\nE: \x1b[31mbroken").decode()
    said = f"{MARKER} told begun\nnoise\nffff told ended\n{MARKER} told started a.service\n{MARKER} told started \x1b.service\n"
    told = report(f"{said}{MARKER} told conffile /etc/x y\n{MARKER} told failed {failed}\n".encode(), MARKER)
    assert told == PatchReport(
        begun=True,
        failure="apt will not\nE: \\x1b[31mbroken",
        started=("a.service", "\\x1b.service"),
        conffiles=("/etc/x y",),
    )
    refused = report(f"{MARKER} refused paused {base64.b64encode(b'since ever').decode()}\n".encode(), MARKER)
    assert "since ever" in refused.refused
    assert not refused.begun
    assert progress(f"{MARKER} told started a.service".encode(), MARKER) == "started a.service"
    assert progress(b"told started a.service", MARKER) == ""


def test_the_scripts_are_sh() -> None:
    """Each parses, the one that a unit runs too."""
    order = PatchOrder("me", "run", (URGENT, Patch("it's", "1", "2", 0)), ("shop",), ("tfheal-shop-web.service",))
    scripts = (upgrade(order, MARKER), take_back(order, MARKER), over(order, MARKER), reboot(order, 120.0, MARKER))
    for script in (*scripts, follow(MARKER), booted(MARKER), fetch(MARKER)):
        subprocess.run(["sh", "-n"], input=script.encode(), check=True)
        for word in script.split():
            if len(word) > 1_000:
                subprocess.run(["sh", "-n"], input=base64.b64decode(word), check=True)


def test_what_is_gone_back_to_is_on_the_disk_before_anything_is_changed() -> None:
    """A machine may go down in the middle of it."""
    script = upgrade(PatchOrder("me", "run", (URGENT,), ("shop",), ()), MARKER)
    work = next(base64.b64decode(word).decode() for word in script.split() if len(word) > 1_000)
    lines = [line.strip().partition(" #")[0] for line in work.splitlines()]
    assert lines.index("secure") < lines.index("sync planned secured secured/*") < lines.index("told changing")


def test_what_never_goes_back_is_a_pattern_of_grep_too() -> None:
    """The slice decides by the same words as we do."""
    for name, never in {"libc6": True, "postgresql-17": True, "linux-image-amd64": True, "curl": False}.items():
        said = subprocess.run(["grep", "-qxE", NEVER_BACK], input=name.encode(), check=False)
        assert (said.returncode == 0) == never
        assert Patch(name, "1", "2", 0, secured=True).returns != never


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["done", "idle"], 0),
        (["done", "skipped"], 3),
        (["unknown"], 4),
        (["taken-back", "broken"], 5),
        (["refused"], 6),
        (["broken", "refused"], 7),
    ],
)
def test_the_code_says_how_it_went(outcomes: list[PatchOutcome], code: int) -> None:
    """What was taken back was tried and failed; what stays broken needs a human."""
    assert PatchRun(tuple(Patched("s1", each) for each in outcomes), {}).exit == code


def test_what_a_tick_may_not_do_is_no_failure() -> None:
    """It waits, or is left after one that went wrong, which is what counts."""
    waits = (Patched("s1", "refused"), Patched("s2", "done", not_rebooted="it booted 3 s ago"))
    assert PatchRun(waits, {}).exit_by_itself == 0
    assert PatchRun((*waits, Patched("s3", "taken-back"), Patched("s4", "skipped")), {}).exit_by_itself == 5


def test_a_reboot_that_was_asked_for_and_not_done_is_refused() -> None:
    """The packages are in, and the reboot is not: what was asked for did not all come to be."""
    assert PatchRun((Patched("s1", "done", not_rebooted="it booted 3 s ago"), Patched("s2", "done")), {}).exit == 6
