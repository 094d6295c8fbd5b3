"""What archives and trees of npm's packages are made into, and what is refused before a slice hears of it."""

import base64
import json
import re

import pytest
from releases import the_step

from tfheal.base.errors import UsageError
from tfheal.core.resources import Step

SHA256 = "ab" * 32
SHA512 = "cd" * 64
INTEGRITY = "sha512-" + base64.b64encode(bytes.fromhex(SHA512)).decode()
URL = "https://registry.example/a/-/a-1.0.0.tgz"


def pinned(step: Step) -> list[str]:
    """Return the lines by which the build knows its archives."""
    found = re.search(r"pinned='?(.*?)'?\n *'?links=", step.apply.replace("'\"'\"'", "'"), re.DOTALL)
    assert found
    return found[1].strip("'").splitlines()


def links(step: Step) -> list[str]:
    """Return the lines of the links that are laid."""
    found = re.search(r"\nlinks='?(.*?)'?\n\n", step.apply.replace("'\"'\"'", "'"), re.DOTALL)
    assert found
    return found[1].strip("'").splitlines()


def an_archive(**part: object) -> Step:
    """Return the step of one archive."""
    return the_step({"kind": "archive", "home": "/opt/x", "parts": [{"url": URL, "sha256": SHA256} | part]})


def an_npm(packages: dict[str, object], **lock: object) -> Step:
    """Return the step of a tree of packages."""
    text = json.dumps({"lockfileVersion": 3, "packages": {"": {"name": "x"}, **packages}} | lock)
    return the_step({"kind": "npm", "home": "/opt/x", "lock": text})


def test_what_is_wanted_of_an_archive_is_one_line() -> None:
    """Its hash, how many folders are stripped, what is taken, where it goes, and where it is fetched."""
    assert pinned(an_archive()) == [f"sha256:{SHA256} 0 . . {URL}"]
    assert pinned(an_archive(strip=1, folder="package/dist", into="lib/a", sha256=f"{SHA256}\n")) == [
        f"sha256:{SHA256} 1 package/dist lib/a {URL}"
    ]


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"sha256": "ab"}, "not a SHA-256"),
        ({"sha256": "AB" * 32}, "not a SHA-256"),
        ({"url": "ftp://a.example/x"}, "not the URL of an archive"),
        ({"url": "https://a.example/x y"}, "not the URL of an archive"),
        ({"url": 'https://a.example/"\noutput = "/etc/passwd'}, "not the URL of an archive"),
        ({"into": "../etc"}, "not a folder in an archive"),
        ({"into": "/etc"}, "not a folder in an archive"),
        ({"folder": "a/../../b"}, "not a folder in an archive"),
        ({"folder": "a b"}, "not a folder in an archive"),
    ],
)
def test_a_part_that_misleads_is_refused(part: dict[str, object], why: str) -> None:
    """A hash, a URL and a folder are what they say."""
    with pytest.raises(UsageError, match=why):
        an_archive(**part)


def test_another_content_has_another_folder() -> None:
    """The release is named after all that makes it."""
    names = {re.findall(r"\bid=([0-9a-f]{16})\n", step.check)[0] for step in (an_archive(), an_archive(into="a"))}
    assert len(names) == 2


def test_a_lock_becomes_archives_each_in_its_place() -> None:
    """Development packages, bundled ones, and optional ones for other systems are left out; programs get their links."""
    entry = {"resolved": URL, "integrity": INTEGRITY}
    step = an_npm(
        {
            "node_modules/a": entry | {"bin": {"a": "./bin/a.js"}},
            "node_modules/@b/c": entry | {"bin": {"c": "cli.js"}},
            "node_modules/a/node_modules/d": entry | {"bin": {"d": "d.js"}},
            "node_modules/tests": entry | {"dev": True},
            "node_modules/inside": {"inBundle": True},
            "node_modules/mac": entry | {"optional": True, "os": ["darwin"]},
            "node_modules/arm": entry | {"optional": True, "cpu": ["arm64"]},
            "node_modules/notwindows": entry | {"optional": True, "os": ["!win32"], "cpu": ["x64"]},
        }
    )
    places = ("a", "@b/c", "a/node_modules/d", "notwindows")
    assert pinned(step) == [f"sha512:{SHA512} 1 . node_modules/{place} {URL}" for place in places]
    assert links(step) == [
        "node_modules/.bin/a ../a/bin/a.js",
        "node_modules/.bin/c ../@b/c/cli.js",
        "node_modules/a/node_modules/.bin/d ../d/d.js",
    ]


@pytest.mark.parametrize(
    ("packages", "lock", "why"),
    [
        ({"node_modules/a": {"resolved": URL}}, {}, "does not pin a package"),
        ({"node_modules/a": {"resolved": URL, "integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}}, {}, "does not pin"),
        ({"node_modules/a": {"resolved": URL, "integrity": "sha512-AAAA"}}, {}, "does not pin"),
        ({"node_modules/a": {"link": True, "resolved": "../a"}}, {}, "does not pin"),
        ({"node_modules/a": {"resolved": "git+ssh://x", "integrity": INTEGRITY}}, {}, "not the URL"),
        ({"node_modules/../a": {"resolved": URL, "integrity": INTEGRITY}}, {}, "no place in node_modules"),
        ({"packages/a": {"resolved": URL, "integrity": INTEGRITY}}, {}, "no place in node_modules"),
        ({"node_modules/a": {"resolved": URL, "integrity": INTEGRITY, "bin": {"../x": "y"}}}, {}, "no usable name"),
        ({"node_modules/a": {"resolved": URL, "integrity": INTEGRITY, "bin": {"x": "../y"}}}, {}, "no usable name"),
        ({}, {"lockfileVersion": 1}, "version 2 or 3"),
    ],
)
def test_a_lock_that_does_not_pin_everything_is_refused(
    packages: dict[str, object], lock: dict[str, object], why: str
) -> None:
    """Whatever has no strong hash, no registry or no plain place is named."""
    with pytest.raises(UsageError, match=why):
        an_npm(packages, **lock)


def test_a_lock_is_json() -> None:
    """What is not says so."""
    with pytest.raises(UsageError, match="not JSON"):
        the_step({"kind": "npm", "home": "/opt/x", "lock": "six==1.17.0"})
