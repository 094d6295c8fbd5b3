"""Slices in words: a table for people, documents for scripts."""

from collections.abc import Callable
from dataclasses import asdict

from rich.table import Table

from tfheal.model.inventory import Inventory, Slice
from tfheal.model.slices import Added, Trusted
from tfheal.model.ssh import fingerprint
from tfheal.render import words

Pinned = Callable[[str], tuple[str, ...]]


def slices_table(inventory: Inventory, pinned: Pinned) -> Table:
    """Given the inventory and who knows the pinned keys, return the slices as a table, in the order of the file."""
    table = words.table("slice", "owner", "address", "labels", "host key")
    for name, entry in inventory.slices.items():
        where = entry.address if entry.port is None else f"{entry.address} port {entry.port}"
        labels = " ".join(f"{key}={value}" for key, value in entry.labels.items())
        table.add_row(name, entry.owner, where, labels, ", ".join(map(fingerprint, pinned(name))) or "not pinned")
    return table


def slices_document(inventory: Inventory, pinned: Pinned) -> dict[str, object]:
    """Given the inventory and who knows the pinned keys, return the slices as scripts read them."""
    return {"slices": [slice_document(inventory.slice(name), pinned(name)) for name in inventory.slices]}


def added_lines(added: Added) -> str:
    """Given a slice that was added, return what to tell about it."""
    lines = [f"{added.slice.name} is added: {added.platform.title}, host key {fingerprint(added.key)}"]
    return "\n".join([*lines, *(f"note: {one}" for one in added.reservations)])


def added_document(added: Added) -> dict[str, object]:
    """Given a slice that was added, return it as scripts read it."""
    platform = {name: getattr(added.platform, name) for name in ("system", "version", "title", "machine", "systemd")}
    return {
        **slice_document(added.slice, (added.key,)),
        "platform": platform,
        "reservations": list(added.reservations),
    }


def trusted_line(trusted: Trusted) -> str:
    """Given a slice that was trusted anew, return what changed."""
    key = fingerprint(trusted.key)
    if trusted.key in trusted.before:
        return f"{trusted.slice} shows the host key that was pinned already: {key}"
    before = ", ".join(map(fingerprint, trusted.before)) or "none"
    return f"{trusted.slice}: {key} is pinned now; before: {before}"


def trusted_document(trusted: Trusted) -> dict[str, object]:
    """Given a slice that was trusted anew, return it as scripts read it."""
    return {
        "slice": trusted.slice,
        "host_key": fingerprint(trusted.key),
        "before": [fingerprint(key) for key in trusted.before],
        "changed": trusted.key not in trusted.before,
    }


def slice_document(one: Slice, keys: tuple[str, ...]) -> dict[str, object]:
    """Given a slice and its pinned keys, return it as scripts read it; what is not written is left out."""
    document = {key: value for key, value in asdict(one).items() if value is not None and key != "name"}
    return {"slice": one.name, **document, "host_keys": [fingerprint(key) for key in keys]}
