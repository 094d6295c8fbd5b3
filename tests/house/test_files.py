"""What is kept in the repository is of use everywhere: no place of one machine, no private server, no secret."""

import os
import re
import socket
from pathlib import Path

from kept import ROOT, kept_files, named
from longest_first import LONGEST

# Servers that the product itself names, and the domains and networks that are reserved for examples.
KNOWN_HOSTS = re.compile(
    r"(deb|security)\.debian\.org|(archive|security)\.ubuntu\.com|(keepachangelog|semver)\.(com|org)|(www\.)?apache\.org|json-schema\.org|github\.com|registry\.npmjs\.org|pypi\.org|acme-v02\.api\.letsencrypt\.org"
    r"|([\w-]+\.)*(example|test|invalid|localhost)(\.(com|net|org))?|localhost|127\.0\.0\.1|[a-z]{1,3}|…|.*[{}$<>\[\]%].*"
)
HOST_IN_URL = re.compile(r"\b(?:https?|ssh|git)://([^\s/:'\"`)\\,]+)")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n|AGE-SECRET-KEY-1[A-Z0-9]{20}")


def texts() -> dict[str, str]:
    """Return the text of each file that is kept, by its name."""
    return {named(path): path.read_text(errors="replace") for path in kept_files()}


def test_no_place_of_this_machine() -> None:
    """Nothing names the folder that it was written in, nor the machine."""
    words = {str(ROOT), socket.gethostname()} | {str(each) for each in (Path.home(),) if each != Path("/root")}
    words = {word for word in words if len(word) > len("/root")} - {"localhost"}
    assert [(name, word) for name, text in texts().items() for word in words if word in text] == []


def test_no_server_that_others_do_not_have() -> None:
    """Nothing names a server, unless the product needs it or it is an example."""
    found = [(name, host) for name, text in texts().items() for host in HOST_IN_URL.findall(text)]
    assert [(name, host) for name, host in found if not KNOWN_HOSTS.fullmatch(host)] == []


def test_no_key() -> None:
    """No private key is kept, not even one for tests: they make theirs."""
    assert [name for name, text in texts().items() if PRIVATE_KEY.search(text)] == []


def test_lock_files_are_exact_and_name_no_index() -> None:
    """A lock file says what, and with which hashes; where it comes from is the slice's own setting."""
    locks = [path for path in kept_files("playbooks") if path.parent.name == "locks"]
    assert locks
    for lock in locks:
        text = re.sub(r"^#.*\n", "", lock.read_text().replace("\\\n", ""), flags=re.MULTILINE)
        lines = [line for line in text.splitlines() if line and line != "--only-binary :all:"]
        odd = [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.+-]+( +--hash=sha256:[0-9a-f]{64})+", line)]
        assert odd == [], named(lock)


def test_what_is_run_can_be_run() -> None:
    """The two scripts of the gate are executable, and the one of the other does nothing of its own."""
    for name in ("tests/run", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK), name
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "exec bash tests/run"


def test_what_is_given_out_first_is_there() -> None:
    """Each file that takes long is one, named once."""
    assert [name for name in LONGEST if not (ROOT / name).is_file() or LONGEST.count(name) > 1] == []


def test_every_file_ends_with_a_line_end() -> None:
    """A text file is whole lines, without spaces at their ends."""
    assert [name for name, text in texts().items() if text and not text.endswith("\n")] == []
    # Tables of mistakes may be about such spaces.
    ours = {name: text for name, text in texts().items() if not name.endswith((".case", ".txt"))}
    assert [name for name, text in ours.items() if re.search(r"[ \t]+$", text, flags=re.MULTILINE)] == []
