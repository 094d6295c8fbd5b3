"""The inventory is changed where it must be, and every other line stays as its writer left it."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfheal.base.errors import ConfigError, UsageError
from tfheal.edge.inventory_file import InventoryFile

WRITTEN = """\
# Our customers
[owners.acme]     # since 2024
contact = "it@acme.example"

# --- machines ---

# the first one
[slices.a]
owner = "acme"    # who pays
address = "::1"   # in the cellar
labels = { role = "web" }  # free words

[slices.a.size]
cpu = 2
memory = "4G"
disk = "20G"

# the second one
[slices.b]
owner = "acme"
address = "::2"
# end of acme's

[owners.bob]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an inventory that a person wrote."""
    path = tmp_path / "inventory.toml"
    path.write_text(WRITTEN)
    return path


def test_a_new_slice_stands_behind_the_others(path: Path) -> None:
    """A new slice is added after the last one, and nothing else is touched."""
    entry = {
        "owner": "bob",
        "address": "::3",
        "port": None,
        "labels": {"role": "db"},
        "provisioner": {"recreate": "x {slice}"},
    }
    InventoryFile(path).put_slice("c", entry)
    added = '\n[slices.c]\nowner = "bob"\naddress = "::3"\nlabels = { role = "db" }\n[slices.c.provisioner]\nrecreate = "x {slice}"\n\n'
    assert path.read_text() == WRITTEN.replace('address = "::2"\n', f'address = "::2"\n{added}')


def test_a_changed_slice_keeps_its_lines_and_comments(path: Path) -> None:
    """What changes is written where it stood, with its comment; what is gone is gone; what is new comes behind."""
    InventoryFile(path).put_slice("a", {"owner": "acme", "address": "::9", "labels": {"role": "web"}, "port": 2222})
    expected = WRITTEN.replace('"::1"   # in', '"::9" # in').replace(
        '# free words\n\n[slices.a.size]\ncpu = 2\nmemory = "4G"\ndisk = "20G"\n', "# free words\nport = 2222\n\n"
    )
    assert path.read_text() == expected


def test_a_slice_goes_with_the_comment_above_it(path: Path) -> None:
    """A removed slice takes along its sub-tables and the comment right above it, no other one."""
    book = InventoryFile(path)
    book.remove_slice("a")
    assert path.read_text() == WRITTEN[: WRITTEN.index("# the first")] + WRITTEN[WRITTEN.index("# the second") :]
    book.remove_slice("a")
    book.remove_slice("never-there")
    book.remove_slice("b")
    assert "slices" not in tomllib.loads(path.read_text())
    for kept in ("# Our customers", "# since 2024", "# --- machines ---", "# end of acme's", "[owners.bob]"):
        assert kept in path.read_text()


def test_an_owner_is_added_once(path: Path) -> None:
    """A known owner stays as written; a new one comes behind the others."""
    book = InventoryFile(path)
    book.put_owner("acme", "somebody else")
    assert path.read_text() == WRITTEN
    book.put_owner("eve", "")
    book.put_owner("dan", "dan@example.org")
    assert path.read_text() == WRITTEN + '\n[owners.eve]\n\n[owners.dan]\ncontact = "dan@example.org"\n'


def test_what_is_the_same_is_not_written(path: Path) -> None:
    """Putting what is there leaves the file alone, its time too."""
    before = path.stat()
    InventoryFile(path).put_slice("b", {"owner": "acme", "address": "::2"})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    """The first owner and slice make the file."""
    book = InventoryFile(tmp_path / "inventory.toml")
    book.remove_slice("s1")
    assert not (tmp_path / "inventory.toml").exists()
    book.put_owner("lab", "")
    book.put_slice("s1", {"owner": "lab", "address": "fd00::1"})
    assert (
        tmp_path / "inventory.toml"
    ).read_text() == '[owners.lab]\n\n[slices.s1]\nowner = "lab"\naddress = "fd00::1"\n'
    assert (tmp_path / "inventory.toml").stat().st_mode & 0o777 == 0o644


def test_line_ends_mode_and_links_are_kept(tmp_path: Path) -> None:
    """A file of another system keeps its line ends, its mode stays, and a link stays a link."""
    real = tmp_path / "real.toml"
    real.write_bytes(b"\xef\xbb\xbf" + WRITTEN.replace("\n", "\r\n").encode())
    real.chmod(0o640)
    (tmp_path / "inventory.toml").symlink_to("real.toml")
    InventoryFile(tmp_path / "inventory.toml").put_slice("b", {"owner": "acme", "address": "::7"})
    assert (tmp_path / "inventory.toml").is_symlink()
    assert real.read_bytes() == WRITTEN.replace('"::2"', '"::7"').replace("\n", "\r\n").encode()
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "written",
    [
        'slices = { a = { owner = "x", address = "::1" } }\n',
        'slices.a.owner = "x"\nslices.a.address = "::1"\n[owners.x]\n',
        '[slices]\na = { owner = "x", address = "::1" }\n',
    ],
)
def test_what_is_written_in_another_form_is_changed_rightly_or_not_at_all(tmp_path: Path, written: str) -> None:
    """A form that cannot be changed line by line is refused in words, and the file stays as it was."""
    path = tmp_path / "inventory.toml"
    path.write_text(written)
    before = tomllib.loads(written)
    for change in (
        lambda book: book.put_slice("b", {"owner": "x", "address": "::2"}),
        lambda book: book.put_slice("a", {"owner": "x", "address": "::2"}),
        lambda book: book.remove_slice("a"),
    ):
        path.write_text(written)
        refused: list[str] = []
        try:
            change(InventoryFile(path))
        except UsageError as error:
            refused.append(error.why)
        after = path.read_text()
        assert (after == written and "[slices.NAME]" in refused[0]) if refused else tomllib.loads(after) != before


def test_an_inventory_with_mistakes_is_not_changed(path: Path) -> None:
    """A change that leaves or makes mistakes is refused with their places, and nothing is written."""
    with pytest.raises(ConfigError) as caught:
        InventoryFile(path).put_slice("c", {"owner": "bob", "address": "[::3]"})
    assert caught.value.mistakes[0].key == "slices.c.address"
    assert path.read_text() == WRITTEN
    for broken in (WRITTEN + "[owners\n", "owners = 5\nslices = []\n", "[slices]\na = 1\n"):
        path.write_text(broken)
        for change in (
            lambda book: book.put_owner("x", ""),
            lambda book: book.put_slice("a", {"owner": "bob", "address": "::3"}),
            lambda book: book.remove_slice("a"),
        ):
            with pytest.raises(ConfigError):
                change(InventoryFile(path))
        assert path.read_text() == broken


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """No folder, or no permission: one error of ours."""
    with pytest.raises(UsageError):
        InventoryFile(tmp_path / "nowhere" / "inventory.toml").put_owner("x", "")


def test_changes_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    """Processes that write at the same time wait for each other; no change is lost, and no other file is left."""
    program = (
        "import sys; from pathlib import Path; from tfheal.edge.inventory_file import InventoryFile;"
        "book = InventoryFile(Path(sys.argv[1]));"
        "[book.put_slice(f's{sys.argv[2]}-{n}', {'owner': 'lab', 'address': '::1'}) for n in range(10)]"
    )
    path = tmp_path / "inventory.toml"
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert len(tomllib.loads(path.read_text())["slices"]) == 30
    assert [left.name for left in tmp_path.iterdir()] == ["inventory.toml"]


ENTRY = st.fixed_dictionaries(
    {"owner": st.sampled_from(["acme", "bob"]), "address": st.sampled_from(["::1", "::2", "a.example"])},
    optional={
        "port": st.integers(1, 65535),
        "key": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
        "labels": st.dictionaries(
            st.sampled_from(["role", "node", "x-y"]), st.text("ab\"'\\#]\n", max_size=4), max_size=2
        ),
        "size": st.just({"cpu": 1, "memory": "1G", "disk": "2G"}),
        "provisioner": st.just({"recreate": "x"}),
    },
)
CHANGE = st.tuples(st.sampled_from("abcde"), st.none() | ENTRY)


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(CHANGE, min_size=1, max_size=12))
def test_any_changes_give_the_data_they_say_and_keep_the_comments(
    changes: list[tuple[str, dict[str, Any] | None]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """After any additions, changes and removals the file holds just that, and no comment but those of what went."""
    path = tmp_path_factory.mktemp("inventory") / "inventory.toml"
    path.write_text(WRITTEN)
    book, wanted = InventoryFile(path), tomllib.loads(WRITTEN)
    for name, entry in changes:
        if entry is None:
            book.remove_slice(name)
            wanted["slices"].pop(name, None)
        else:
            book.put_slice(name, entry)
            wanted["slices"][name] = entry
    assert tomllib.loads(path.read_text()).get("slices", {}) == wanted["slices"]
    for kept in ("# Our customers", "# since 2024", "# --- machines ---", "# end of acme's"):
        assert path.read_text().count(kept) == 1
