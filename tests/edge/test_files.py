"""Files as they come: found, read with a limit, and refused with a place when they are not what they should be."""

import os
import re
from pathlib import Path

import pytest
import tomli_w
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rights import no_rights_over_files
from workspaces import VALID, mistakes_of, write_workspace

from tfheal.base.errors import ConfigError, UsageError
from tfheal.edge.files import WorkspaceFiles, find_workspace, shipped
from tfheal.edge.toml_text import parse_toml
from tfheal.edge.yaml_text import parse_yaml


def test_a_workspace_is_found_from_below(tmp_path: Path) -> None:
    """The nearest folder upwards with a tfheal.toml is the workspace."""
    root = write_workspace(tmp_path / "work")
    assert find_workspace(root / "playbooks" / "demo") == root
    assert find_workspace(tmp_path, str(root)) == root
    with pytest.raises(UsageError, match="no workspace here"):
        find_workspace(tmp_path)
    with pytest.raises(UsageError, match="no workspace here"):
        find_workspace(root, str(root / "apps"))


def test_all_of_it_is_read(tmp_path: Path) -> None:
    """A valid workspace gives its owners, slices, apps and the playbooks in use, with the files beside them."""
    workspace = WorkspaceFiles(write_workspace(tmp_path)).load()
    assert workspace.provider.name == "Example"
    assert list(workspace.inventory.slices) == ["a1", "a2", "a3", "b1"]
    assert workspace.apps["site"].place == {"db": ("a1",), "web": ("a1", "a2")}
    assert set(workspace.playbooks) == {"demo"}
    assert workspace.playbooks["demo"].files["locks/1.0.txt"] == b"demo==1.0\n"


def test_our_own_playbook_wins_over_a_shipped_one(tmp_path: Path) -> None:
    """A playbook in the workspace hides the one of that name that comes with tfheal."""
    names = [folder.name for folder in shipped("playbooks").iterdir()]
    assert "copyparty" in names
    own = VALID["playbooks/demo/playbook.yaml"].replace("playbook: demo", "playbook: copyparty")
    beside = {name.replace("demo", "copyparty", 1): text for name, text in VALID.items() if "/demo/" in name}
    changes = beside | {"playbooks/copyparty/playbook.yaml": own}
    changes["apps/site.yaml"] = VALID["apps/site.yaml"].replace("playbook: demo", "playbook: copyparty")
    workspace = WorkspaceFiles(write_workspace(tmp_path, changes)).load()
    assert workspace.playbooks["copyparty"].playbook.title == "A demonstration"


def test_the_shipped_playbooks_and_examples_are_valid(tmp_path: Path) -> None:
    """Every example is a valid workspace once its slices are there, with the playbooks that come with tfheal."""
    slices = "".join(f'[slices.s{number}]\nowner = "lab"\naddress = "fd00::{number}"\n' for number in range(1, 10))
    for example in sorted(shipped("examples").iterdir()):
        root = tmp_path / example.name
        root.mkdir()
        (root / "tfheal.toml").write_bytes((example / "tfheal.toml").read_bytes())
        (root / "apps").symlink_to(example / "apps")
        (root / "inventory.toml").write_text("[owners.lab]\n" + slices)
        assert mistakes_of(root) == []


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    """A workspace of nothing but an empty tfheal.toml is valid."""
    (tmp_path / "tfheal.toml").touch()
    workspace = WorkspaceFiles(tmp_path).load()
    assert (workspace.apps, workspace.playbooks, dict(workspace.inventory.slices)) == ({}, {}, {})


def test_line_ends_and_byte_order_marks_of_other_systems_are_read(tmp_path: Path) -> None:
    """CRLF and a BOM change neither what is read nor the lines that are told."""
    write_workspace(tmp_path)
    for name in ("tfheal.toml", "inventory.toml", "apps/site.yaml", "playbooks/demo/playbook.yaml"):
        text = (tmp_path / name).read_text().replace("\n", "\r\n")
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert mistakes_of(tmp_path) == []
    (tmp_path / "apps/site.yaml").write_bytes(b"\xef\xbb\xbfapp: site\r\nowner: 5\r\n")
    assert mistakes_of(tmp_path)[-1].startswith("apps/site.yaml:2:1: owner: is 5")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"app: caf\xe9\n", "apps/site.yaml:1:9: is not UTF-8 text"),
        (b"app: x\n  \x00y: z", "apps/site.yaml:2:3: holds a control character (U+0000)"),
        (b"app: \x1b[31m\n", "apps/site.yaml:1:6: holds a control character (U+001B)"),
        (b"x" * 1_000_001, "apps/site.yaml:1:1: is larger than 1 MB"),
        (b"", "apps/site.yaml:1:1: is empty (`tfheal explain app` shows what belongs in it)"),
        (b"# only words\n", "apps/site.yaml:1:1: is empty (`tfheal explain app` shows what belongs in it)"),
        (b"[" * 500_000, "apps/site.yaml:1:1: is nested more than 40 levels deep"),
        (b"a: [" + b"1," * 200_000 + b"]", "apps/site.yaml:1:1: holds more than 100000 values"),
    ],
    ids=["latin-1", "nul", "escape", "large", "empty", "comment", "deep", "many"],
)
def test_bytes_that_are_no_text_of_ours(tmp_path: Path, data: bytes, told: str) -> None:
    """What is not text, too large or too deep is refused with its place, and quickly."""
    write_workspace(tmp_path)
    (tmp_path / "apps/site.yaml").write_bytes(data)
    assert mistakes_of(tmp_path) == [told]


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 100_000, "a." * 200 + "a = 1", "a = " + "9" * 100_000, "[" + "a." * 100 + "a]", "a={" * 50_000],
    ids=["arrays", "dotted", "digits", "header", "inline"],
)
def test_toml_that_wears_a_parser_out(tmp_path: Path, text: str) -> None:
    """TOML that is too deep or has a number without end is one mistake, not a crash."""
    write_workspace(tmp_path, {"inventory.toml": text})
    assert len(mistakes_of(tmp_path)) == 1


def test_ten_megabytes_are_not_read(tmp_path: Path) -> None:
    """A file is read up to its limit only."""
    write_workspace(tmp_path)
    with (tmp_path / "inventory.toml").open("wb") as file:
        file.truncate(10_000_000_000)  # sparse: no disk, but it would fill the memory
    assert mistakes_of(tmp_path) == ["inventory.toml:1:1: is larger than 16 MB"]


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    """What is not a file is refused by its kind, without waiting for a pipe that nobody writes to."""
    write_workspace(tmp_path)
    for name in ("tfheal.toml", "inventory.toml", "apps/site.yaml"):
        (tmp_path / name).unlink()
    (tmp_path / "tfheal.toml").mkdir()
    os.mkfifo(tmp_path / "inventory.toml")
    (tmp_path / "apps/site.yaml").symlink_to("nowhere")
    assert mistakes_of(tmp_path) == [
        "tfheal.toml:1:1: is a folder, not a file",
        "inventory.toml:1:1: is a device or pipe, not a file",
        "apps/site.yaml:1:1: cannot be read: no such file or directory",
    ]


def test_a_file_that_we_may_not_read(tmp_path: Path) -> None:
    """A file or folder without permission is a mistake with its name; the other files are checked all the same."""
    root = write_workspace(tmp_path, {"tfheal.toml": "nam = 1\n"})
    for name in ("inventory.toml", "playbooks/demo"):
        (root / name).chmod(0)
    with no_rights_over_files():
        assert mistakes_of(root) == [
            "tfheal.toml:1:1: nam: is not a known key (did you mean name?)",
            "inventory.toml:1:1: cannot be read: permission denied",
            "playbooks/demo/playbook.yaml:1:1: cannot be read: permission denied",
            "playbooks/demo:1:1: cannot be read as a folder: permission denied",
        ]
    (root / "apps").chmod(0)
    with no_rights_over_files():
        assert "apps:1:1: cannot be read as a folder: permission denied" in mistakes_of(root)
    for name in ("apps", "playbooks/demo"):
        (root / name).chmod(0o755)


def test_links_that_lead_out_of_a_playbook_are_refused(tmp_path: Path) -> None:
    """A link within the folder is read; one that leads out of it is a mistake, also through a folder."""
    demo = write_workspace(tmp_path / "work") / "playbooks/demo"
    (demo / "same.txt").symlink_to("locks/1.0.txt")
    assert mistakes_of(tmp_path / "work") == []
    (tmp_path / "secret").write_text("root:x")
    (demo / "passwd").symlink_to(tmp_path / "secret")
    (demo / "up").symlink_to("..")
    assert mistakes_of(tmp_path / "work") == [
        "playbooks/demo/passwd:1:1: is a link that leads out of the playbook's folder (copy the file here)",
        "playbooks/demo/up:1:1: is a link that leads out of the playbook's folder (copy the file here)",
    ]


def test_a_playbook_folder_has_a_limit(tmp_path: Path) -> None:
    """A folder with far too many files, or one too large, is not read to its end."""
    demo = write_workspace(tmp_path) / "playbooks/demo"
    with (demo / "disk.img").open("wb") as file:
        file.truncate(10_000_000_000)
    assert mistakes_of(tmp_path) == ["playbooks/demo/disk.img:1:1: is larger than 10 MB"]
    (demo / "disk.img").unlink()
    for number in range(1_100):
        (demo / f"{number}.txt").touch()
    assert mistakes_of(tmp_path) == ["playbooks/demo:1:1: holds more than 1000 files or 50 MB"]


def test_what_editors_leave_behind_is_no_app(tmp_path: Path) -> None:
    """Hidden files, backups and other endings are not read."""
    write_workspace(tmp_path, {"apps/.#site.yaml": "x", "apps/site.yaml~": "x", "apps/notes.txt": "x"})
    assert mistakes_of(tmp_path) == []


def test_words_are_words_as_in_yaml_1_2() -> None:
    """`no`, `off` and `on` are words, keys stay as written, and only what looks like a number is one."""
    text = "allow: [no, off, yes, true, ~]\non: 0o17\n1.10: 0755\nsix: [1, -1, 1.5, 1e3, .5, 0x1F, 1_000, 12:30, 2026-01-01]"
    assert parse_yaml("x", text).data == {
        "allow": ["no", "off", "yes", True, None],
        "on": 15,
        "1.10": 755,
        "six": [1, -1, 1.5, 1000.0, 0.5, 31, "1_000", "12:30", "2026-01-01"],
    }


# YAML 1.1, which the library writes, knows no such number without a point, and so puts no quotes around it.
A_NUMBER_TO_US_ALONE = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.text(st.characters(exclude_categories=("C", "Z")), max_size=8).filter(
        lambda text: not A_NUMBER_TO_US_ALONE.fullmatch(text)
    ),
)
TREE = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.-\"' 1#", max_size=5), inner, max_size=3),
    max_leaves=12,
)


def _keys(data: object, key: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [found for part, inner in parts for found in [(*key, part), *_keys(inner, (*key, part))]]


@given(st.dictionaries(st.text("abc", min_size=1), TREE, max_size=4), st.booleans())
def test_every_key_of_any_yaml_has_its_place(data: dict[str, object], flow: bool) -> None:  # noqa: FBT001 (hypothesis gives it)
    """Whatever the real library writes is read back as the same data, with a spot for each key and item."""
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    document = parse_yaml("x", text)
    assert document.data == data
    assert set(_keys(data)) <= set(document.spots)
    lines = text.split("\n")
    for key in _keys(data):
        spot = document.spots[key]
        assert lines[spot.line - 1][spot.column - 1 :], "a spot is within its line"


def _without_none(data: object) -> object:
    if isinstance(data, dict):
        return {key: _without_none(inner) for key, inner in data.items() if inner is not None}
    return [_without_none(inner) for inner in data if inner is not None] if isinstance(data, list) else data


@given(st.dictionaries(st.text("abc", min_size=1), TREE, max_size=4), st.booleans())
def test_every_key_of_any_toml_has_its_place(data: dict[str, object], several_lines: bool) -> None:  # noqa: FBT001
    """Whatever the real library writes is followed by our scanner: a spot for each key, where that key stands."""
    data = _without_none(data)  # type: ignore[assignment]
    text = tomli_w.dumps(data, multiline_strings=several_lines)
    document = parse_toml("x", text)
    assert set(_keys(document.data)) <= set(document.spots)
    lines = text.split("\n")
    for key in _keys(document.data):
        spot = document.spots[key]
        if isinstance(key[-1], str) and key[-1]:
            assert lines[spot.line - 1][spot.column - 1] in {key[-1][0], '"', "'"}


def test_places_in_every_form_of_toml() -> None:
    """Headers, dotted keys, inline tables, arrays of tables and long texts: each key where it stands."""
    text = (
        'a.b = 1 # "x" = [\n[c."d.e"]\nf = {g = [1, {h = 2}], i.j = \'k\'}\n'
        '[[l]]\nm = """\n[no]\n= \\""" """\n[[l]]\n[l.n]\no = \'\'\'\'x\'\'\'\'\n# end'
    )
    spots = {key: (spot.line, spot.column) for key, spot in parse_toml("x", text).spots.items()}
    assert spots == {
        ("a",): (1, 1), ("a", "b"): (1, 3), ("c",): (2, 2), ("c", "d.e"): (2, 4), ("c", "d.e", "f"): (3, 1),
        ("c", "d.e", "f", "g"): (3, 6), ("c", "d.e", "f", "g", 0): (3, 11), ("c", "d.e", "f", "g", 1): (3, 14),
        ("c", "d.e", "f", "g", 1, "h"): (3, 15), ("c", "d.e", "f", "i"): (3, 24), ("c", "d.e", "f", "i", "j"): (3, 26),
        ("l",): (4, 3), ("l", 0): (4, 3), ("l", 0, "m"): (5, 1), ("l", 1): (8, 3), ("l", 1, "n"): (9, 4),
        ("l", 1, "n", "o"): (10, 1),
    }  # fmt: skip


@pytest.mark.parametrize("parse", [parse_toml, parse_yaml])
@given(text=st.text(st.sampled_from(list("ab=:[]{}\"'\n ,.#-|>&*!1\\%@`")), max_size=40))
def test_any_text_is_read_or_refused_in_our_words(parse: object, text: str) -> None:
    """No text makes a parser raise anything but our own error, with a place in the text."""
    try:
        parse("x", text)  # type: ignore[operator]
    except ConfigError as error:
        for mistake in error.mistakes:
            assert mistake.what
            assert 1 <= mistake.line <= text.count("\n") + 2
