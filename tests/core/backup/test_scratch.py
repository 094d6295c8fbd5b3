"""Restores into an empty folder: what comes there of a slice, by scripts that a shell runs with a restic that does as a case says."""

import json
import subprocess
from pathlib import Path

import pytest

from tfheal.core.backup import scratch
from tfheal.model.backup import FOLDERS, Part

A, B = "/srv/a", "/srv/b"
BOTH = Part("s1", FOLDERS, "good", "f" * 64, 10, 1, paths=(A, B))
# A restic whose snapshot has a file in /srv/a, and a folder /srv/b with nothing in it; it brings what is included, or all.
RESTIC = """
r() {
  only=
  for word in "$@"; do
    case $before in --include) only="$only $word" ;; --target) target=$word ;; esac
    before=$word
  done
  for path in /srv/a /srv/a/file /srv/b; do
    wanted=no
    for one in ${only:-/srv}; do case $path in "$one" | "$one"/*) wanted=yes ;; esac; done
    [ "$wanted" = yes ] || continue
    case $path in */file) mkdir -p "$target/srv/a" && echo x >"$target$path" ;; *) mkdir -p "$target$path" ;; esac
  done
}
"""


def ran(folder: Path, only: tuple[str, ...], path: str | None) -> tuple[int, bool, list[str]]:
    """Restore into a folder; return the status, whether anything of the path came, and what is there then."""
    *_, task = scratch.scratch_tasks([(BOTH, only)], str(folder), path)
    script = f"{RESTIC}task() {{\n{task.script}\n}}\ntask"
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False)
    said = scratch.came(json.loads(line) for line in done.stdout.splitlines())
    return done.returncode, said, sorted(f"/{one.relative_to(folder)}" for one in folder.rglob("*"))


@pytest.mark.parametrize(
    ("only", "path", "expected"),
    [
        ((), None, (0, False, ["/srv", "/srv/a", "/srv/a/file", "/srv/b"])),
        ((A,), None, (0, False, ["/srv", "/srv/a", "/srv/a/file"])),
        ((B,), None, (0, False, ["/srv", "/srv/b"])),
        (("/srv/c",), None, (1, False, [])),
        ((), f"{A}/file", (0, True, ["/srv", "/srv/a", "/srv/a/file"])),
        ((A,), B, (0, True, ["/srv", "/srv/b"])),
        ((), "/srv/none", (0, False, [])),
    ],
)
def test_only_what_is_wished_comes(
    tmp_path: Path, only: tuple[str, ...], path: str | None, expected: tuple[int, bool, list[str]]
) -> None:
    """All of a part, some of its folders, or a path; a path that is not there is no failure of this slice, and leaves nothing."""
    assert ran(tmp_path / "scratch", only, path) == expected


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written over."""
    (tmp_path / "mine").touch()
    assert ran(tmp_path, (), None) == (1, False, ["/mine"])
