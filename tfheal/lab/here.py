"""The lab's host port on this machine: makes labs and slices, tells what is there, takes them away."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from tfheal.base import sh
from tfheal.base.errors import ActionFailed
from tfheal.lab import breaking, groups, image, machine, network, places, preconditions, record, seed
from tfheal.lab.record import LabRecord, SliceRecord
from tfheal.model.lab import Lab, LabSlice, LabSpec, SliceCondition, key_path
from tfheal.model.ports import Reporter


class ThisMachine:
    """Labs on the machine that tfheal runs on."""

    def __init__(self, reporter: Reporter) -> None:
        """Keep whom to tell of progress."""
        self._reporter = reporter

    def missing_packages(self) -> tuple[str, ...]:
        """Return the host packages that a lab needs and that are not there; raise UsageError if no lab can be here."""
        preconditions.check()
        return preconditions.missing_packages()

    def install(self, packages: tuple[str, ...]) -> None:
        """Install host packages; raise ActionFailed."""
        self._reporter.say(f"installing {' '.join(packages)}")
        preconditions.install(packages)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let one command at a time change the labs of this machine; a lock on a folder leaves no file behind."""
        handle = os.open(places.LABS.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._reporter.say("waiting for another tfheal lab command on this machine")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def labs(self) -> tuple[Lab, ...]:
        """Return every lab of this machine, also a half-made one."""
        preconditions.check_root()
        return tuple(lab for name in record.lab_names() if (lab := self.lab(name)))

    def lab(self, name: str) -> Lab | None:
        """Return one lab, if there is anything of it."""
        preconditions.check_root()
        if not places.lab_folder(name).is_dir():
            return None
        kept = record.load_lab(name) or LabRecord(name, "", "", "")
        slices = (self._slice(kept, each) for each in record.slice_names(name))
        return Lab(
            name=name,
            workspace=kept.workspace,
            bridge=places.bridge(name),
            network=f"{places.prefix6(name)}::/64",
            network4=f"{kept.network4}.0/24",
            slices=tuple(one for one in slices if one),
        )

    def prepare(self, spec: LabSpec) -> tuple[str, ...]:
        """Make image, key and network where missing, and return the names of the slices that the lab is to have."""
        wanted = image.wanted()
        if not image.tree(wanted.id()).is_dir():
            preconditions.check_mirror(wanted.sources)
        built = image.ensure(wanted, self._reporter)
        kept = record.load_lab(spec.name)
        network4 = kept.network4 if kept else network.free_network4(spec.name)
        record.save_lab(LabRecord(spec.name, spec.workspace, built, network4))
        network.raise_up(spec.name, network4)
        _make_login_key(spec)
        there = record.slice_names(spec.name)
        count = spec.slices if spec.slices is not None else len(there) or 3
        return tuple(dict.fromkeys([*(f"s{number}" for number in range(1, count + 1)), *there]))

    def boot(self, spec: LabSpec, name: str) -> LabSlice:
        """Make a slice where missing, start it where off, and return it once its sshd answers."""
        lab = _known(spec.name)
        kept = record.load_slice(lab.name, name) or _fresh(spec, name)
        if not kept.host_key:
            self._reporter.step(name, "making its disk")
            kept = seed.sown(lab, name, kept)
        if breaking.is_kept_off(lab.name, name):
            self._reporter.step(
                name, "is gone by a fault; tfheal lab mend brings it back, tfheal lab recreate makes it anew"
            )
            return _told(self._slice(lab, name), name)
        if not groups.kept(lab.name, name):
            self._reporter.step(name, "booting")
            groups.end(lab.name, name)
            machine.start(lab.name, name, kept)
            breaking.forget_ended(lab.name, name)
        if breaking.is_silenced(lab.name, name):
            self._reporter.step(name, "is kept from answering by a fault; tfheal lab mend takes it away")
        else:
            machine.wait(lab.name, name, kept.number)
            _let_in(lab.name, name, kept)
            self._reporter.step(name, "answers")
        return _told(self._slice(lab, name), name)

    def recreate(self, lab: str, name: str) -> LabSlice:
        """Throw a slice's disk away and boot it anew, with other host keys and another machine id."""
        known = _known(lab)
        kept = record.load_slice(lab, name)
        if kept is None:
            raise ActionFailed("there is no such slice", where=f"lab {lab}", why=name)
        groups.end(lab, name)
        record.forget(places.faults_folder(lab, name))
        for cut in network.CUTS:
            network.join(lab, name, cut)
        fresh = seed.sown(known, name, kept)
        machine.start(lab, name, fresh)
        machine.wait(lab, name, fresh.number)
        return _told(self._slice(known, name), name)

    def destroy(self, name: str) -> None:
        """Leave nothing of a lab on this machine but the image cache."""
        for each in sorted({*record.slice_names(name), *groups.names(name)}):
            self._reporter.step(each, "ending")
            groups.end(name, each)
        groups.clear(name)
        network.take_down(name)
        _remove_login_key(record.load_lab(name))
        record.forget(places.lab_folder(name))
        if not record.lab_names():
            network.put_settings_back()
            preconditions.leave_nothing()

    def drop_cache(self) -> bool:
        """Remove the cached images that no lab uses; return whether none is left."""
        return image.drop_cache()

    def _slice(self, lab: LabRecord, name: str) -> LabSlice | None:
        kept = record.load_slice(lab.name, name)
        if kept is None:
            return None
        return LabSlice(
            name=name,
            address=places.address6(lab.name, kept.number),
            address4=places.address4(lab.network4, kept.number),
            memory=kept.memory,
            disk=kept.disk,
            host_key=kept.host_key,
            fingerprint=kept.fingerprint,
            condition=_condition(lab.name, name, kept.number),
            faults=breaking.names_of(places.faults_folder(lab.name, name)),
        )


def _fresh(spec: LabSpec, name: str) -> SliceRecord:
    return SliceRecord(int(name[1:]), spec.memory, spec.disk, "", "", "", containers=spec.containers)


def _known(lab: str) -> LabRecord:
    kept = record.load_lab(lab)
    if kept is None:
        raise ActionFailed("there is no such lab on this machine", where=f"lab {lab}", hint="tfheal lab up makes it")
    return kept


def _told(found: LabSlice | None, name: str) -> LabSlice:
    if found is None:
        raise ActionFailed("the slice was taken down meanwhile", where=name)
    return found


def _condition(lab: str, name: str, number: int) -> SliceCondition:
    if groups.leader(lab, name) is None:
        return "off"
    return "running" if breaking.is_silenced(lab, name) or machine.answers(lab, number) else "starting"


def _let_in(lab: str, name: str, kept: SliceRecord) -> None:
    """Make a slice let in the login key of the lab, if that is not the one it was made with."""
    key = seed.login_key(lab)
    if key != kept.authorized:
        told = machine.enter(lab, name, f"printf '%s\\n' {sh.quote(key)} >> /root/.ssh/authorized_keys")
        if told.status == 0:
            record.save_slice(lab, name, replace(kept, authorized=key))


def _make_login_key(spec: LabSpec) -> None:
    """Make the key that the slices let in, where missing; it belongs to whom the workspace belongs to."""
    path = Path(spec.workspace) / spec.key()
    if not path.is_file():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        seed.make_key(path, f"lab {spec.name}")
    owner = Path(spec.workspace).stat()
    for each in (
        path,
        Path(f"{path}.pub"),
        *[folder for folder in path.parents if folder.is_relative_to(spec.workspace)],
    ):
        os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)
    (places.lab_folder(spec.name) / "login.pub").write_text(Path(f"{path}.pub").read_text())


def _remove_login_key(lab: LabRecord | None) -> None:
    if lab is None:
        return
    path = Path(lab.workspace) / key_path(lab.name)
    for half in (path, Path(f"{path}.pub")):
        half.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        with suppress(OSError):
            folder.rmdir()
