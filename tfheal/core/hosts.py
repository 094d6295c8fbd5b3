"""What ails a slice itself, whatever is on it: it does not answer, its owner said stop, its disk is full, its clock is off."""

from typing import Final

from tfheal.model.facts import Known, Machine, Observation, Unasked, Unknown
from tfheal.model.findings import Finding
from tfheal.model.playbook import Rung
from tfheal.model.release import InstanceName

CLOCK_TOLERANCE: Final = 5.0  # seconds; TLS and signed requests begin to fail at minutes, logs mislead at seconds


def of_slice(name: str, facts: Observation, here: InstanceName | None, full_share: float) -> list[Finding]:
    """Given a slice, what was seen of it, an instance on it and the share of a full disk, return what ails it; what fills its disk is freed by way of an instance that is there, if any is."""
    if isinstance(facts, Unasked):
        return [_unasked(facts)]
    machine = facts.machine
    found = []
    if paused := paused_by_owner(machine):
        since = machine.hands_off_since.value if isinstance(machine.hands_off_since, Known) else None
        found.append(Finding("paused-by-owner", "info", name, paused, since=since or None))
    if full := _full_disk(machine, full_share):
        entry: Rung | None = "free-disk" if here and not paused else None
        found.append(Finding("disk-full", "critical" if here else "warning", name, full, here, entry))
    if isinstance(machine.clock_offset, Known) and abs(machine.clock_offset.value) > CLOCK_TOLERANCE:
        found.append(Finding("clock-off", "warning", name, f"its clock is off by {machine.clock_offset.value:.1f} s"))
    if isinstance(machine.package_lock, Known) and machine.package_lock.value:
        detail = f"{machine.package_lock.value} keeps everybody else from installing packages"
        found.append(Finding("packages-locked", "info", name, detail))
    if machine.reboot == Known(value=True):
        found.append(
            Finding("reboot-required", "info", name, "an update of its packages takes effect with a reboot only")
        )
    if machine.patch_unfinished == Known(value=True):
        detail = "a patch is under way, or was interrupted: then tfheal patch goes on with it"
        found.append(Finding("patch-unfinished", "info", name, detail))
    return found


def paused_by_owner(machine: Machine) -> str:
    """Given a machine, return the words for it if its owner said stop, nothing otherwise."""
    said = machine.hands_off_since
    if isinstance(said, Unknown) or said.value is None:
        return ""
    return f"hands off since {said.value or 'an unknown time'}"


def _unasked(facts: Unasked) -> Finding:
    match facts.cause:
        case "host-key-changed":
            return Finding("host-key-changed", "critical", facts.slice, facts.reason)
        case "unreachable" | "login-refused":
            return Finding("slice-unreachable", "warning", facts.slice, facts.reason)
        case "not-checked":
            return Finding("not-checked", "warning", facts.slice, facts.reason)
        case _:
            return Finding("unasked", "warning", facts.slice, facts.reason)


def _full_disk(machine: Machine, full_share: float) -> str:
    if isinstance(machine.disk_total, Known) and isinstance(machine.disk_free, Known) and machine.disk_total.value:
        used = 1 - machine.disk_free.value / machine.disk_total.value
        if used >= full_share:
            return f"the disk is {used:.0%} full, {machine.disk_free.value // (1 << 20)} MiB are free"
    if isinstance(machine.inodes_free_share, Known) and 1 - machine.inodes_free_share.value >= full_share:
        return f"the disk has {machine.inodes_free_share.value:.0%} of its inodes left"
    return ""
