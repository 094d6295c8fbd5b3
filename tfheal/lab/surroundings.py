"""What of this machine's own set-up has to reach the slices, so that packages come there as they come here.

Mirrors, proxies, certificates, and the settings of apt, pip and npm. What is not there is left out.
"""

import configparser
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfheal.lab import host

SUITE: Final = "trixie"
_ETC: Final = Path("/etc")
_MAIN: Final = "http://deb.debian.org/debian"
_SECURITY: Final = "http://security.debian.org/debian-security"
_MIRROR: Final = re.compile(r"^(?!\s*#).*?(https?://[^\s\]]+?/(debian|debian-security))/?(?=\s|$)", re.MULTILINE)
_APT: Final = re.compile(r"^Acquire::(https?::|Retries|ForceIPv|Check-|Languages)(?!.*Auto-Detect)", re.IGNORECASE)
_VARIABLE: Final = re.compile(
    r"(PIP|NPM_CONFIG)_\w+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS"
    r"|(HTTPS?|ALL|NO|FTP)_PROXY",
    re.IGNORECASE,
)
_NPM: Final = re.compile(
    r"^(registry|.+:registry|cafile|proxy|https-proxy|noproxy|strict-ssl|//.+:_\w+)\s*=", re.MULTILINE
)
_CERTIFICATES: Final = "/etc/ssl/certs"


@dataclass(frozen=True, slots=True)
class SliceFile:
    """A file that a slice is to have."""

    path: str
    content: bytes
    mode: int = 0o644

    def put(self, root: Path) -> None:
        """Write it below a folder that stands for the root of a slice; the home of root is root's alone."""
        target = root / self.path.lstrip("/")
        for folder in reversed([folder for folder in target.parents if folder.is_relative_to(root)]):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700 if folder.is_relative_to(root / "root") else 0o755)
        target.write_bytes(self.content)
        target.chmod(self.mode)


def sources() -> tuple[str, ...]:
    """Return the lines of a sources.list for the slices, from the mirrors of Debian that this machine uses."""
    written = "\n".join(_text(path) for path in _listed(_ETC / "apt", "sources.list", "sources.list.d/*"))
    mirrors = {kind: url for url, kind in reversed(_MIRROR.findall(written))}
    main, security = mirrors.get("debian", _MAIN), mirrors.get("debian-security", _SECURITY)
    return (
        f"deb {main} {SUITE} main",
        f"deb {main} {SUITE}-updates main",
        f"deb {security} {SUITE}-security main",
    )


def apt_settings() -> str:
    """Return the settings of this machine's apt that say how its servers are reached."""
    dump = host.ask("apt-config", "dump").stdout.decode("utf-8", "replace").splitlines()
    return "".join(f"{line}\n" for line in dump if _APT.match(line) and not line.endswith('"";'))


def certificates() -> tuple[SliceFile, ...]:
    """Return the certificate authorities that this machine trusts beyond its distribution's."""
    found = _listed(Path("/usr/local/share/ca-certificates"), "**/*.crt")
    return tuple(SliceFile(str(path), path.read_bytes()) for path in found)


def settings() -> tuple[SliceFile, ...]:
    """Return the files that make apt, pip and npm of a slice reach what they reach here."""
    found = (
        SliceFile("/etc/apt/apt.conf.d/90surroundings", apt_settings().encode()),
        SliceFile("/etc/environment", _environment().encode()),
        SliceFile("/etc/pip.conf", _pip_settings().encode()),
        SliceFile("/root/.npmrc", _npm_settings().encode(), 0o600),
        *(
            SliceFile(str(path), path.read_bytes(), 0o600)
            for path in _listed(_ETC / "apt", "auth.conf", "auth.conf.d/*")
        ),
    )
    return tuple(file for file in found if file.content.strip())


def _environment() -> str:
    kept = {name: value for name, value in sorted(os.environ.items()) if _VARIABLE.fullmatch(name)}
    return "".join(f'{name}="{value}"\n' for name, value in kept.items() if value and _travels(value))


def _pip_settings() -> str:
    """Return the settings of pip, without the places that only this machine has."""
    parser = configparser.RawConfigParser()
    parser.read([_ETC / "pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"])
    lines = []
    for section in parser.sections():
        kept = {key: _travelling(value) for key, value in parser.items(section)}
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in kept.items() if value)]
    return "\n".join(lines) + "\n" if len(lines) > len(parser.sections()) else ""


def _npm_settings() -> str:
    written = "\n".join(_text(path) for path in (_ETC / "npmrc", Path.home() / ".npmrc") if path.is_file())
    lines = [line for line in written.splitlines() if _NPM.match(line) and _travels(line.partition("=")[2].strip())]
    return "".join(f"{line}\n" for line in lines)


def _travelling(value: str) -> str:
    return " ".join(word for word in value.split() if _travels(word))


def _travels(value: str) -> bool:
    """Return whether a value means the same on a slice: a place on this machine's disk does not."""
    return not any(
        word.startswith(("/", "~", "file:")) and not word.startswith(_CERTIFICATES) for word in value.split()
    )


def _listed(folder: Path, *patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()]


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")
