"""Names without a network: where an app answers, the file of names on a slice, the words of a program, what may be written."""

import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from tfheal.base.errors import ActionFailed
from tfheal.core import naming
from tfheal.edge.names import DnsNames
from tfheal.edge.vault import AgeVault
from tfheal.model.inventory import SliceEntry
from tfheal.model.publication import NamesWay, server_of

MARKER = "0123456789abcdef"
SERVER = {"via": "rfc2136", "server": "192.0.2.53", "zone": "acme.example", "key": "tfheal"}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:DB8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_servers_are_addresses(written: str, found: tuple[str, int]) -> None:
    """With a port or without."""
    assert server_of(written) == found


@pytest.mark.parametrize("written", ["ns.acme.example", "192.0.2.53:", "192.0.2.53:0", "[2001:db8::53]", ""])
def test_what_is_no_server_is_a_mistake(written: str) -> None:
    """A name would have to be looked up by the very servers that are changed."""
    with pytest.raises(ValidationError):
        NamesWay.model_validate({**SERVER, "server": written})


@pytest.mark.parametrize("lacking", ["server", "zone", "key"])
def test_a_way_says_what_it_needs(lacking: str) -> None:
    """What is lacking is named."""
    with pytest.raises(ValidationError, match=lacking):
        NamesWay.model_validate({key: value for key, value in SERVER.items() if key != lacking})


def test_a_program_gets_words() -> None:
    """Each word is one word of its argv, whatever is in it; braces of others stay."""
    way = NamesWay.model_validate(
        {"via": "command", "command": ["./dns", "{action}", "{type}={address}", "{name}", "{ttl}", "{x}"], "ttl": "1m"}
    )
    assert naming.words(way, "add", "a.example", "::1") == ("./dns", "add", "AAAA=::1", "a.example", "60", "{x}")
    assert naming.words(way, "remove", "a.example", "192.0.2.1")[2] == "A=192.0.2.1"


def test_the_file_of_names_keeps_what_is_not_ours(tmp_path: Path) -> None:
    """Lines of one name are replaced, those of others stay, and what was written is read again."""
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n192.0.2.9 crm.a.example # tfheal\n192.0.2.1 a.example # tfheal\n")

    def ran(script: str) -> bytes:
        here = script.replace("/etc/hosts", str(file)).replace("/etc/tfheal/hands-off", str(tmp_path / "hands-off"))
        return subprocess.run(["sh"], input=here.encode(), capture_output=True, check=True).stdout

    after = ("192.0.2.2", "2001:db8::2")
    assert naming.told(ran(naming.written("a.example", after, MARKER)), MARKER) is not None
    assert file.read_text().splitlines() == [
        "127.0.0.1 localhost",
        "192.0.2.9 crm.a.example # tfheal",
        "192.0.2.2 a.example # tfheal",
        "2001:db8::2 a.example # tfheal",
    ]
    assert naming.told(ran(naming.asked("a.example", MARKER)), MARKER) == after
    (tmp_path / "hands-off").touch()
    assert naming.told(ran(naming.written("a.example", (), MARKER)), MARKER) is None
    assert naming.told(ran(naming.asked("a.example", MARKER)), MARKER) == after
    assert naming.told(b"cut", MARKER) is None


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("192.0.2.1", ("192.0.2.1",)),
        ("2001:DB8:0::1", ("2001:db8::1",)),
        ("1.2.3", ()),
        ("::::", ()),
        ("fe80::1%eth0", ()),
        ("256.0.0.1", ()),
        ("127.1", ()),
        ("end", ()),
        ("192.0.2.1\n{M} abc:", ("192.0.2.1",)),
    ],
)
def test_what_is_no_address_is_not_there(said: str, found: tuple[str, ...]) -> None:
    """Whoever wrote it into the file of a slice: nothing that is done with addresses meets one that is none."""
    reply = f"{MARKER} {said.replace('{M}', MARKER)}\n{MARKER} end\n".encode()
    assert naming.told(reply, MARKER) == found
    assert naming.strangers(found, {}) == found


def test_slices_are_no_strangers() -> None:
    """However their address is written; one that is known by a name is no address."""
    slices = {
        name: SliceEntry.model_validate({"owner": "acme", "address": address})
        for name, address in {"a": "2001:DB8:0::1", "b": "b.acme.example", "c": "192.0.2.1"}.items()
    }
    assert naming.strangers(("192.0.2.1", "192.0.2.2", "2001:db8::1"), slices) == ("192.0.2.2",)


def test_an_update_stays_in_its_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of another zone is told before anything is sent."""
    monkeypatch.setenv("TFHEAL_AGE_KEY_FILE", str(tmp_path / "key"))
    names = DnsNames("main", NamesWay.model_validate(SERVER), AgeVault(tmp_path))
    with pytest.raises(ActionFailed) as raised:
        names._absolute("a.notacme.example")
    assert "not in the zone" in raised.value.why
