"""A file is replaced whole or not at all; what cannot be written says so and leaves nothing behind."""

import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tfheal.base.errors import UsageError
from tfheal.edge.disk import Folder, locked_folder, replace_file

KILLED_WRITER = """
import os, sys
from pathlib import Path
from tfheal.edge.disk import replace_file
print("ready", flush=True)
for number in range(10**9):
    replace_file(Path(sys.argv[1]), str(number).encode() * 10_000 + b"end")
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A write that fails half-way is one error, the old file stays, and no temporary file is left."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))
    try:
        with pytest.raises(UsageError, match="cannot write"):
            replace_file(path, b"x" * 5_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"old"
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    """Kill -9 at any moment leaves the old or the new content, never a part of one."""
    path = tmp_path / "file"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", KILLED_WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout:
            writer.stdout.readline()
            while not path.exists():
                pass
        writer.kill()
        writer.wait()
        data = path.read_bytes().removesuffix(b"end")
        assert path.read_bytes().endswith(b"end")
        assert data == data[: len(data) // 10_000] * 10_000


def test_modes_and_new_files(tmp_path: Path) -> None:
    """A new file gets the wanted mode whatever the umask; an existing one keeps its own."""
    replace_file(tmp_path / "secret", b"x", 0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    (tmp_path / "secret").chmod(0o640)
    replace_file(tmp_path / "secret", b"y", 0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o640


def test_the_lock_of_a_folder_holds_others_off(tmp_path: Path) -> None:
    """While one holds the lock, another thread waits; afterwards it goes on."""
    order: list[str] = []

    def other() -> None:
        with locked_folder(tmp_path):
            order.append("other")

    with locked_folder(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    with pytest.raises(UsageError), locked_folder(tmp_path / "nowhere"):
        pass


def test_a_folder_gets_what_is_missing_only(tmp_path: Path) -> None:
    """What is there is left as it is, a link to nowhere too; what cannot be made is an error."""
    folder = Folder(tmp_path / "a" / "b")
    assert folder.add("x.txt", "text")
    assert not folder.add("x.txt", "other")
    assert folder.add("sub")
    assert not folder.add("sub")
    (tmp_path / "a" / "b" / "link").symlink_to("nowhere")
    assert not folder.add("link", "text")
    assert (tmp_path / "a" / "b" / "x.txt").read_text() == "text"
    with pytest.raises(UsageError):
        folder.add("x.txt/y", "text")
