"""What the lab works out without a machine: names, networks, settings that travel, command lines."""

import ipaddress
from pathlib import Path

import pytest

from tfheal.flows import lab as flow
from tfheal.lab import breaking, places, record, surroundings

NAMES = ("lab", "a", "a" * 31, "pytest-123456-1234567890", "x-1")


@pytest.mark.parametrize("lab", NAMES)
def test_interfaces_have_names_that_the_kernel_takes(lab: str) -> None:
    """Fifteen characters at most, for every lab and every slice it may have."""
    for name in (places.bridge(lab), *(places.link(lab, f"s{number}") for number in range(1, 201))):
        assert len(name) <= 15


def test_a_record_of_a_newer_tfheal_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labs stand side by side on a machine, also those of other versions: what we do not know of one is left alone."""
    monkeypatch.setattr(places, "LABS", tmp_path)
    kept = record.SliceRecord(number=1, memory=2, disk=3, image="i", host_key="k", fingerprint="f")
    record.save_slice("lab", "s1", kept)
    path = tmp_path / "lab/slices/s1/slice.json"
    path.write_text(path.read_text().replace("{", '{"colour": "red", ', 1))
    assert record.load_slice("lab", "s1") == kept


@pytest.mark.parametrize("lab", NAMES)
def test_addresses_are_those_of_a_private_network(lab: str) -> None:
    """Every slice has an address of its own in the lab's networks, none is the gateway's, each is in normal form."""
    network6 = ipaddress.ip_network(f"{places.prefix6(lab)}::/64")
    found6 = [places.address6(lab, number) for number in range(1, 201)] + [places.gateway6(lab)]
    assert len({ipaddress.ip_address(address) for address in found6}) == 201
    assert all(ipaddress.ip_address(address) in network6 for address in found6)
    assert [str(ipaddress.ip_address(address)) for address in found6] == found6
    assert network6.is_private
    for base in places.candidates4(lab):
        network4 = ipaddress.ip_network(f"{base}.0/24")
        found4 = [places.address4(base, number) for number in range(1, 201)] + [places.gateway4(base)]
        assert len(set(found4)) == 201
        assert all(ipaddress.ip_address(address) in network4 for address in found4)
        assert network4.is_private


def test_labs_differ_in_everything_that_is_shared() -> None:
    """Bridge, prefix, table, control group: two labs never meet."""
    for of in (places.bridge, places.prefix6, places.table, lambda lab: places.group(lab, "s1")):
        assert len({of(lab) for lab in NAMES}) == len(NAMES)


@pytest.mark.parametrize(
    ("written", "main", "security"),
    [
        ("", "http://deb.debian.org/debian", "http://security.debian.org/debian-security"),
        ("deb http://archive.ubuntu.com/ubuntu noble main\n", "http://deb.debian.org/debian", None),
        ("deb [arch=amd64] https://mirror.example/debian/ bookworm main\n", "https://mirror.example/debian", None),
        (
            "# deb http://old.example/debian x main\nURIs: http://new.example/debian\n",
            "http://new.example/debian",
            None,
        ),
        (
            "URIs: http://m.example/debian-security\n",
            "http://deb.debian.org/debian",
            "http://m.example/debian-security",
        ),
        (
            "deb http://one.example/debian a main\ndeb http://two.example/debian a main\n",
            "http://one.example/debian",
            None,
        ),
    ],
)
def test_the_mirrors_of_this_machine_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, main: str, security: str | None
) -> None:
    """Debian's own mirrors are found in both formats; what is of another distribution is not Debian's."""
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt/sources.list").write_text(written)
    monkeypatch.setattr(surroundings, "_ETC", tmp_path)
    lines = surroundings.sources()
    assert lines[0] == f"deb {main} trixie main"
    assert lines[2] == f"deb {security or 'http://security.debian.org/debian-security'} trixie-security main"


def test_settings_travel_only_where_they_mean_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index or a proxy goes along; a folder of this machine does not; a key stays readable to root alone."""
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://pip.example/simple\nfind-links = /opt/wheels\n"
        "extra-index-url = file:///opt/simple https://more.example/simple\ncert = /etc/ssl/certs/ca-certificates.crt\n"
    )
    (tmp_path / "npmrc").write_text(
        "registry=https://npm.example/\ncache=/var/npm\n//npm.example/:_authToken=abc\nyes=no\n"
    )
    monkeypatch.setattr(surroundings, "_ETC", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_TIMEOUT", "99")
    monkeypatch.setenv("PIP_FIND_LINKS", "/opt/wheels")
    files = {file.path: file for file in surroundings.settings()}
    assert files["/etc/pip.conf"].content.decode().splitlines() == [
        "[global]",
        "index-url = https://pip.example/simple",
        "extra-index-url = https://more.example/simple",
        "cert = /etc/ssl/certs/ca-certificates.crt",
    ]
    assert files["/root/.npmrc"].content.decode().splitlines() == [
        "registry=https://npm.example/",
        "//npm.example/:_authToken=abc",
    ]
    assert files["/root/.npmrc"].mode == 0o600
    environment = files["/etc/environment"].content.decode().splitlines()
    assert 'PIP_TIMEOUT="99"' in environment
    assert not [line for line in environment if "FIND_LINKS" in line]


@pytest.mark.parametrize(("written", "found"), [("1G", 1 << 30), ("512M", 512 << 20), ("268435456", 256 << 20)])
def test_sizes_are_read(written: str, found: int) -> None:
    """As everywhere else in tfheal."""
    assert flow.size("--disk", written) == found


def test_faults_are_told_with_their_instance(tmp_path: Path) -> None:
    """The folder of a fault is its name; an app's has its instance in it."""
    for name in ("kill-service~crm~web", "fill-disk"):
        (tmp_path / name).mkdir()
    assert breaking.names_of(tmp_path) == ("fill-disk", "kill-service crm/web")
    assert breaking.names_of(tmp_path / "none") == ()
