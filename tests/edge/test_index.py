"""A package index: asked once a day as pip asks it, believed where it can be read, and quiet where not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from package_index import Pages, an_index

from tfheal.edge.index import PipIndex

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DAY = timedelta(days=1)
FILES = [
    {"filename": "some_app-1.0.tar.gz"},
    {"filename": "some_app-1.0-py3-none-any.whl", "yanked": False},
    {"filename": "some_app-1.2-1-py3-none-any.whl"},
    {"filename": "some_app-1.3.tar.gz", "yanked": "it broke"},
    {"filename": "some_app-2.0rc1.tar.gz"},
    {"filename": "some_app-../../x.zip"},
]


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pages]:
    """Serve an index on loopback, to which pip is set."""
    with an_index(FILES) as told:
        monkeypatch.setenv("PIP_INDEX_URL", told.url)
        monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
        monkeypatch.delenv("PIP_NO_INDEX", raising=False)
        yield told


def test_it_is_asked_once_a_day_and_kept(pages: Pages, tmp_path: Path) -> None:
    """Withdrawn files and what is no plain release count for nothing; what is kept outlives a day without an answer."""
    index = PipIndex(tmp_path / "index.json")
    assert index.versions("Some_App") == ()
    for hours in (0, 1, 23):
        index.ask(["Some_App"], NOW + timedelta(hours=hours))
    assert pages.asked == [("/simple/some-app/", "application/vnd.pypi.simple.v1+json")]
    assert PipIndex(tmp_path / "index.json").versions("Some_App") == ("1.0", "1.2")
    pages.said = b"<html>"
    index.ask(["Some_App"], NOW + DAY)
    index.ask(["Some_App"], NOW + DAY)
    assert len(pages.asked) == 2
    assert index.versions("Some_App") == ("1.0", "1.2")


@pytest.mark.parametrize(
    "page", [b"", b"[]", b"null", b'{"files": 3}', b'{"files": [3]}', b'{"files": [{"filename": null}]}', b"\xff"]
)
def test_what_it_says_is_not_believed_blindly(pages: Pages, tmp_path: Path, page: bytes) -> None:
    """What cannot be read is no answer."""
    pages.said = page
    index = PipIndex(tmp_path / "index.json")
    index.ask(["some-app"], NOW)
    assert index.versions("some-app") == ()


@pytest.mark.parametrize("kept", ["", "[]", '{"some-app": 3}', '{"some-app": {"asked": 3, "versions": [3, "../x"]}}'])
def test_a_file_that_is_spoilt_is_begun_anew(pages: Pages, tmp_path: Path, kept: str) -> None:
    """It is a cache, and nobody is told."""
    (tmp_path / "index.json").write_text(kept)
    index = PipIndex(tmp_path / "index.json")
    assert index.versions("some-app") == ()
    index.ask(["some-app"], NOW)
    assert index.versions("some-app") == ("1.0", "1.2")
    assert len(pages.asked) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("PIP_NO_INDEX", "1"), ("PIP_INDEX_URL", "file:///srv"), ("PIP_INDEX_URL", "http://[::1]:9/")]
)
def test_where_there_is_none_nothing_is_said(
    pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Pip is to ask none, or one that is no web server, or one that is not there."""
    monkeypatch.setenv(name, value)
    index = PipIndex(tmp_path / "index.json")
    index.ask(["some-app"], NOW)
    assert (index.versions("some-app"), pages.asked) == ((), [])


def test_the_files_of_pip_name_it_too(pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment has the last word."""
    (tmp_path / "pip.conf").write_text(f"[global]\nindex_url = {pages.url}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_INDEX_URL")
    PipIndex(tmp_path / "index.json").ask(["some-app"], NOW)
    assert len(pages.asked) == 1
