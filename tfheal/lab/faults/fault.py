"""What a fault is: how it is put in, how one sees that it is there, how it is taken away. Most are three shell scripts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfheal.base import sh, untrusted
from tfheal.base.errors import ActionFailed
from tfheal.lab import host, instances, machine
from tfheal.lab.record import SliceRecord
from tfheal.model import paths
from tfheal.model.lab import FaultKind

_SAVED: Final = "saved.tar"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a fault goes: a slice, and an instance on it where the fault is an app's; `folder` keeps what it saves."""

    lab: str
    slice: str
    kept: SliceRecord
    folder: Path
    app: str = ""
    component: str = ""

    @property
    def instance(self) -> str:
        """Return `app/component`, or nothing for a fault of the whole slice."""
        return f"{self.app}/{self.component}" if self.app else ""

    @property
    def saved(self) -> Path:
        """Return where on this machine a fault keeps a copy of what it breaks."""
        return self.folder / _SAVED


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: words for people, and three functions.

    `seen` returns the proof, or nothing while it is not there. A fault from `outside` needs no running slice. While one
    that `silences` is there, the slice's sshd is not heard; while one that `keeps_off` is, it is not started; one that does
    not outlive a boot is gone with it.
    """

    kind: FaultKind
    put: Callable[[Target], None]
    seen: Callable[[Target], str]
    mend: Callable[[Target], None]
    outside: bool = False
    silences: bool = False
    keeps_off: bool = False
    outlives_boot: bool = True


@dataclass(frozen=True, slots=True)
class Scripts:
    """A fault as three scripts of sh, run inside the slice by root.

    They find `$unit`, `$home`, `$current`, `$config` and `$data` of the instance. `put` and `mend` fail by their status; `seen`
    prints the proof and succeeds while the fault is there. What `save` writes to stdout before `put` is what `mend` has
    on its stdin.
    """

    put: str
    seen: str
    mend: str
    save: str = ""


def of_scripts(kind: FaultKind, scripts: Scripts) -> Fault:
    """Given the words and the scripts of a fault, return it."""

    def put(target: Target) -> None:
        if scripts.save:
            _save(target, scripts.save)
        _run(target, scripts.put)

    def seen(target: Target) -> str:
        proof = machine.enter(target.lab, target.slice, _given(target) + scripts.seen)
        return untrusted.line(proof.stdout) if proof.status == 0 else ""

    def mend(target: Target) -> None:
        if scripts.save and not target.saved.is_file():
            return  # it could not be saved, so it was not broken
        _run(target, scripts.mend, source=target.saved if scripts.save else None)

    return Fault(kind, put, seen, mend)


def _save(target: Target, script: str) -> None:
    """Keep a copy of what is to be broken, whole or none."""
    try:
        _run(target, script, output=target.saved)
    except ActionFailed:
        target.saved.unlink(missing_ok=True)
        raise


def _run(target: Target, script: str, *, output: Path | None = None, source: Path | None = None) -> None:
    files = host.Files(source, output)
    done = machine.enter(target.lab, target.slice, f"set -e\n{_given(target)}{script}", timeout=180, files=files)
    if done.status != 0:
        words = untrusted.line(done.stderr or done.stdout)
        raise ActionFailed(
            "a fault script failed on the slice", where=target.slice, why=words or f"status {done.status}"
        )


def _given(target: Target) -> str:
    """Return the shell variables that tell a script of its instance."""
    if not target.app:
        return ""
    found = {
        "home": paths.home(target.app, target.component),
        "current": paths.current(target.app, target.component),
        "config": paths.config(target.app, target.component),
        "data": paths.data(target.app, target.component),
    }
    given = "".join(f"{name}={sh.quote(value)}\n" for name, value in found.items())
    return f"{given}{instances.UNIT_OF}unit=$(unit_of {sh.join(target.app, target.component)})\n"
