"""The manual comes from the models: every topic has its page, every key is in it, and what init writes is valid."""

import re

import pytest
from workspaces import told

from tfheal.base.errors import ConfigError, UsageError
from tfheal.base.exits import Exit
from tfheal.core import schema, topics
from tfheal.core.manual import commented, explained, topics_known
from tfheal.core.mistakes import checked
from tfheal.edge.toml_text import parse_toml
from tfheal.model.workspace import Provider


@pytest.mark.parametrize("topic", topics_known())
def test_every_topic_has_a_page(topic: str) -> None:
    """A page has a title, fits on a screen's width, ends without an empty line, and holds nothing of Python."""
    page = explained(topic)
    lines = page.splitlines()
    assert len(lines) > 2
    assert all(len(line) <= 122 for line in lines)
    assert lines[-1].strip()
    for word in ("Annotated", "NoneType", "Literal", "pydantic", "<class", "^[a-z]", "default None"):
        assert word not in page


@pytest.fixture(scope="module")
def pages() -> str:
    """Return all pages of the manual."""
    return "\n".join(explained(topic) for topic in topics_known())


@pytest.mark.parametrize("file", schema.FILES)
def test_the_pages_name_every_key(file: str, pages: str) -> None:
    """Nothing that can be written in a file is missing from the manual, nor what it is for."""
    root = schema.schema(file)
    for name, node in {"": root, **root.get("$defs", {})}.items():
        for key, part in node.get("properties", {}).items():
            assert re.search(rf"^ *{key}:", pages, re.MULTILINE), f"{name}.{key}"
            if "description" in part:
                assert " ".join(part["description"].split()[:3]) in " ".join(pages.split())


def test_the_list_of_topics_names_them_all() -> None:
    """Without a topic the topics are listed, each on its line."""
    listed = {line.split()[0] for line in explained(None).splitlines() if line.startswith("  ")}
    assert listed == set(topics_known())


def test_an_unknown_topic_names_the_nearest() -> None:
    """A slip of the finger is answered with the topic that was meant; case does not matter."""
    with pytest.raises(UsageError) as caught:
        explained("helth")
    assert caught.value.hint == "did you mean health?"
    assert explained("Health") == explained("health")


def test_every_exit_code_is_explained() -> None:
    """The page of exit codes has one line for each code that there is."""
    assert set(topics.EXIT_CODES) == {code.value for code in Exit}


def test_the_commented_file_is_valid_with_and_without_its_comments() -> None:
    """What `init` writes is valid as it is, and each default that is taken out of its comment is the default."""
    text = commented("workspace")
    assert checked(Provider, "workspace", parse_toml("x", text)) == Provider()
    plain = re.sub(r"^# (?=\[|\w+ = )", "", text, flags=re.MULTILINE)
    without_routes = re.sub(r"\[(?:page|ping|notices|window)\]\n(?:\w+ = .*\n)+", "", plain)
    assert checked(Provider, "workspace", parse_toml("x", without_routes)) == Provider()
    with pytest.raises(ConfigError) as caught:  # all routes at once: the one thing that examples cannot show
        checked(Provider, "workspace", parse_toml("x", plain))
    assert [told(mistake) for mistake in caught.value.mistakes] == [
        "x:13:2: page: [page] has either command or url",
        "x:18:2: ping: [ping] has one of url, env and secret",
        "x:24:2: notices: [notices] has either command or url",
    ]
