"""The changelog is for users: its form is that of Keep a Changelog, and its newest version is the package's."""

import re

from kept import ROOT

from tfheal import __version__

KINDS = ["Security", "Removed", "Deprecated", "Added", "Changed", "Fixed"]
TEXT = (ROOT / "CHANGELOG.md").read_text()
VERSION = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE)


def test_form() -> None:
    """A title, then versions with dates, the newest first; below each the kinds of changes, and lists."""
    assert TEXT.startswith("# Changelog\n")
    heads = [line for line in TEXT.splitlines() if line.startswith("## ")]
    assert [line for line in heads if not VERSION.fullmatch(line) and line != "## [Unreleased]"] == []
    kinds = re.findall(r"^### (.*)$", TEXT, flags=re.MULTILINE)
    assert kinds
    assert set(kinds) <= set(KINDS)


def test_a_change_is_told_once() -> None:
    """Below a version each kind stands once, and so does each of its lines."""
    for version in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        lines = [line for line in version.splitlines() if line.startswith(("### ", "- "))]
        assert [line for line in lines if lines.count(line) > 1] == []


def test_newest_version_is_the_package() -> None:
    """What is released is described."""
    versions = [tuple(map(int, version.split("."))) for version, _ in VERSION.findall(TEXT)]
    assert ".".join(map(str, versions[0])) == __version__
    assert versions == sorted(versions, reverse=True)
