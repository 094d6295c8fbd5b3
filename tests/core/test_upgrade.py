"""Upgrading, as far as it is judged: the order, what a watched instance did, and what is to be taken back."""

from pathlib import Path

import pytest
from releases import a_release
from shells import ran

from tfheal.core.apply import Report, StepReport
from tfheal.core.resources.software import software
from tfheal.core.upgrade import (
    ROOM,
    SILENT_FOR,
    Moving,
    Watch,
    at_rest,
    beside,
    closed_for,
    closes,
    in_order,
    interruption,
    is_to_blame,
    moves,
    needing,
    room,
    stays_behind,
    to_take_back,
    unlocked,
)
from tfheal.model.findings import Health
from tfheal.model.record import Outcome
from tfheal.model.release import InstanceName, Release, secret_token

LOCKED = f"six==1.0 --hash=sha256:{'a' * 64}\n"
Look = tuple[float, Health, float | None]
WELL: list[Look] = [(0.0, "healthy", 1.0), (1.0, "healthy", 2.0), (2.0, "healthy", 3.0)]


@pytest.mark.parametrize(
    ("looks", "end"),
    [
        (WELL, "waits"),
        ([*WELL, (12.0, "healthy", 13.0)], "passed"),
        (WELL[:2], "waits"),
        ([(0.0, "degraded", 1.0), (40.0, "degraded", 41.0)], "failed"),
        ([(0.0, "degraded", 1.0), *WELL], "waits"),
        ([*WELL, (3.0, "degraded", 4.0)], "waits"),
        ([*WELL, (3.0, "degraded", 4.0), (4.0, "down", None)], "failed"),
        ([*WELL, (3.0, "degraded", 4.0), (12.0, "healthy", 13.0)], "passed"),
        ([*WELL, (12.0, "healthy", 4.0)], "failed"),
        ([*WELL, (12.0, "healthy", None)], "passed"),
        ([*WELL, (3.0, "unknown", None), (12.0, "unknown", None)], "waits"),
        ([*WELL, (3.0, "unknown", None), (12.0, "healthy", 13.0)], "passed"),
        ([*WELL, (3.0, "unknown", None), (12.0, "healthy", 4.0)], "failed"),
        ([*WELL, (3.0, "degraded", 4.0), (4.0, "unknown", None), (5.0, "degraded", 6.0)], "failed"),
        ([(0.0, "unknown", None), (40.0, "unknown", None)], "waits"),
        ([(0.0, "unknown", None), (40.0, "degraded", 41.0)], "failed"),
        ([*WELL, (3.0, "unknown", None), (12.0 + SILENT_FOR, "unknown", None)], "lost"),
        ([(0.0, "unknown", None), (1.0 + SILENT_FOR, "unknown", None)], "lost"),
    ],
)
def test_what_a_watched_instance_amounts_to(looks: list[Look], end: str) -> None:
    """Ready three times in a row, then well for the soak without a restart; one look that is ill proves nothing, and silence only when it lasts."""
    watch = Watch()
    for now, health, up in looks:
        watch = watch.seen(health, up, now)
    now = looks[-1][0]
    ends = {(True, False): "failed", (False, True): "passed", (False, False): "waits"}
    found = ends[watch.has_failed(now, 30.0), watch.has_passed(10.0, now)]
    assert ("lost" if watch.is_lost(now) else found) == end


def test_what_is_needed_comes_first_and_one_at_a_time() -> None:
    """The instances of a component one after the other, after those of the component that they need."""
    made = [
        a_release(component=component, slice=name, unit=None, needs=["db"] if component == "web" else [])
        for component, name in (("web", "s1"), ("web", "s2"), ("db", "s3"))
    ]
    assert [str(one.instance) for one in in_order(made)] == ["notes/db@s3", "notes/web@s1", "notes/web@s2"]
    told = interruption(made, made)
    assert told["web"].startswith("one of 2 at a time")
    assert told["db"].startswith("stops and starts again")


def test_what_was_changed_is_taken_back_the_last_first() -> None:
    """What an upgrade did not come to stays as it is."""
    names = [InstanceName("notes", "web", name) for name in ("s1", "s2", "s3")]
    before = dict.fromkeys(names, "old")
    assert list(to_take_back(before, {names[0]: "new", names[1]: "new", names[2]: "old"})) == [names[1], names[0]]


@pytest.mark.parametrize(
    ("outcome", "step", "blamed"),
    [
        ("failed", "venv:/opt", True),
        ("failed", "", True),
        ("failed", ROOM, False),
        ("failed", "cluster", False),
        ("unknown", "", False),
    ],
)
def test_a_version_is_held_for_what_is_its_own_fault(outcome: Outcome, step: str, *, blamed: bool) -> None:
    """A slice without room, or one that did not answer, says nothing of the version."""
    failures = (StepReport(step, "failed"),) if step else ()
    assert is_to_blame(outcome, Report((), (), failures=failures)) is blamed


def a_series(version: str, *, compatible: bool = False, names: tuple[str, ...] = ("s1", "s2")) -> list[Release]:
    """Return releases of a database, and of a web component of which the data is migrated, at a version 1.0 or 2.0."""
    migrate = {
        "command": "true",
        "compatible": compatible,
        "timeout": 60.0,
        "series": version.split(".", maxsplit=1)[0],
    }
    made = [
        a_release(component="db", slice="s9", version=version),
        a_release(component="job", slice="s9", needs=["db"]),
    ]
    return [*made, *(a_release(slice=name, migrate=migrate, version=version, needs=["db"]) for name in names)]


@pytest.mark.parametrize(
    ("old", "new", "compatible", "closed"),
    [
        ("1.0", "2.0", False, True),
        ("1.0", "1.1", False, False),
        ("2.0", "1.0", False, True),
        ("1.0", "2.0", True, False),
    ],
)
def test_an_app_is_closed_where_its_data_goes_to_another_series(
    old: str, new: str, *, compatible: bool, closed: bool
) -> None:
    """One that the version before can work on is rolled, and so is what needs no migration."""
    before, after = a_series(old, compatible=compatible), a_series(new, compatible=compatible)
    assert closes(before, after, restores=False) is closed
    assert closes(before, after, restores=True) is not compatible, "what was written beside it would be lost"
    without = [one.model_copy(update={"migrate": None}) for one in before]
    assert closes(without, after, restores=False) is not compatible, "a version before that knew of no migration"


def test_an_app_without_a_migration_is_closed_for_what_may_have_to_come_back() -> None:
    """What is dumped with a server that others need runs on, so that it can be dumped; a file of SQLite needs nobody."""
    dump = [{"name": "rows", "command": "cat rows"}]
    old = [a_release(component="web", version="1"), a_release(component="db", dumps=dump, version="1")]
    new = [one.model_copy(update={"version": "2"}) for one in old]
    assert not closes(old, new, restores=False)
    assert closes(old, new, restores=True)
    assert "may have" not in interruption(old, new)["web"]
    assert "so that nothing is lost" in interruption(old, new, closed=90.0)["web"]
    assert len(at_rest(new)) == 2, "nobody needs it: what is served by it itself is to stop"
    web = new[0].model_copy(update={"needs": ("db",)})
    assert [one.component for one in at_rest([web, new[1]])] == ["web"]
    file = [{"name": "rows", "sqlite": "/srv/rows.sqlite"}]
    assert len(at_rest([web, a_release(component="db", dumps=file, version="2")])) == 2


def test_what_nothing_migrates_with_is_stopped() -> None:
    """All but the database that the migration needs; each migration counts once, the time-outs of all instances."""
    after = a_series("2.0")
    assert sorted(str(one) for one in at_rest(after)) == ["notes/job@s9", "notes/web@s1", "notes/web@s2"]
    assert closed_for(after, 10.0) == 4 * 90.0 + 60.0 + 10.0
    before = a_series("1.0")
    assert "all of it is stopped" in interruption(before, after, closed=430.0)["web"]
    assert "db" not in interruption(before, after, closed=430.0), "nobody reaches it anyway"
    assert "within 90 s" in interruption(a_series("2.1"), after)["web"], "nothing is migrated"
    assert "within 150 s" in interruption(before, a_series("2.0", compatible=True))["web"]


def a_database(cluster: str, component: str = "db", **changes: object) -> Release:
    """Return the release of a database in a cluster of PostgreSQL."""
    made = {"kind": "postgres", "database": "notes", "role": "notes", "password": secret_token("password", 1)}
    dumps = [{"name": "rows", "postgres": "notes"}]
    return a_release(made | {"cluster": cluster}, component=component, dumps=dumps, **changes)


def test_data_that_moves_to_another_server_is_told_of() -> None:
    """What needs it is stopped meanwhile, and how long that takes is told by how much it is."""
    before, after = a_database("15/main"), a_database("17/main")
    web = a_release(component="web", needs=["db"])
    proxy = a_release(component="proxy", needs=["web"])
    assert (moves(before, after), moves(before, before), moves(web, web)) == (True, False, False)
    assert needing("db", (after, web, proxy)) == ("web", "proxy")
    told = interruption((before,), (after, web, proxy), {after.instance: Moving("15/main", "17/main", 100_000_000)})
    assert "from 15/main to 17/main" in told["db"]
    assert "about 40 s" in told["db"]
    assert "web and proxy stopped" in told["db"]


def test_all_data_of_before_is_still_there_where_all_of_it_moved() -> None:
    """Not where an instance has folders, or another database that did not move."""
    moved = a_database("15/main")
    held = a_database("15/main", "other")
    files = a_database("15/main", data=[{"name": "files", "path": "/srv/files"}])
    plain = a_release(component="web")
    names = {moved.instance}
    assert stays_behind((moved, plain), names)
    assert not stays_behind((moved, plain), set())
    assert not stays_behind((moved, held), names)
    assert not stays_behind((files, plain), names)


def software_of(*homes: Path) -> Release:
    """Return a release with an environment under each of these homes."""
    return a_release(
        *({"kind": "venv", "home": str(home), "lock": LOCKED, "python": "python3"} for home in homes),
        {"kind": "packages", "names": ["curl", "nginx=1.2"]},
    )


def needed(release: Release) -> int:
    """Return how much room a release asks for, in KiB, with a disk that is always too small; 0 for none."""
    shell = f"df() {{ echo Avail; echo 0; }}\n{room(release)[0].check}"
    said = ran(shell).stdout.decode()
    return int(said.split(" KiB ")[0]) if said else 0


def test_room_is_asked_for_all_software_that_is_not_built_yet(tmp_path: Path) -> None:
    """As much as each folder of software has by now; who goes on and finds some of it built asks for the rest alone."""
    homes = (tmp_path / "server", tmp_path / "client")
    release = software_of(*homes)
    for home in homes:
        (home / "releases/old").mkdir(parents=True)
        (home / "releases/old/program").write_bytes(b"x" * (8 << 20))
    both = needed(release)
    assert 80 << 10 <= both < 96 << 10, "64 MiB stay free"
    for home, left in zip(homes, (72 << 10, 64 << 10), strict=True):
        built = home / "releases" / software(release)[homes.index(home)]
        built.mkdir()
        (built / ".complete").touch()
        assert left <= needed(release) < left + (8 << 10)


def test_what_is_built_beside_leaves_what_runs_alone() -> None:
    """Packages that are missing are installed for it, one that is to have another version is left to the switch."""
    first, lacking, built = beside(software_of(Path("/opt/tfheal/notes/web")))
    assert (first.id, built.id) == (ROOM, "beside:/opt/tfheal/notes/web")
    assert ("curl" in lacking.apply, "nginx" in lacking.apply, lacking.effect) == (True, False, "nothing")
    assert beside(a_release({"kind": "packages", "names": ["curl"]})) == ()


@pytest.mark.parametrize(
    ("lock", "found"),
    [
        ("# a word\n--index-url https://example.org\n", ""),
        (f"six==1.0 --hash=sha256:{'a' * 64}  # a word\n", ""),
        (
            f"six==1.0 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\nfive==1 --hash sha512:{'c' * 128}\n",
            "",
        ),
        (f"six @ https://example.org/six.whl#sha256={'a' * 64}\n", ""),
        (f"six==1.0 --hash=sha256:{'a' * 64}\nfive==1.0\n", "five==1.0"),
        ("six==1.0 --hash=sha256:abc\n", "six==1.0 --hash=sha256:abc"),
        ("six==1.0 --hash=md5:abc\n", "six==1.0 --hash=md5:abc"),
    ],
)
def test_a_lock_without_a_hash_is_told_before_anything_is_begun(lock: str, found: str) -> None:
    """Each package has one, in whichever way pip takes it."""
    release = a_release({"kind": "venv", "home": "/opt/x", "lock": lock, "python": "python3"})
    assert unlocked(release) == found
