"""Selectors are the same everywhere: what each matches, and what is said of one that matches nothing."""

from dataclasses import replace

import pytest

from tfheal.base.errors import UsageError
from tfheal.core.select import machines, selected, slices_of
from tfheal.model.app import AppSpec
from tfheal.model.inventory import Inventory, Owner, SliceEntry
from tfheal.model.workspace import Provider, Workspace


def _slice(owner: str, role: str) -> SliceEntry:
    return SliceEntry(owner=owner, address="::1", labels={"role": role})


def _app(name: str, owner: str, playbook: str, place: tuple[str, ...]) -> AppSpec:
    return AppSpec(app=name, owner=owner, playbook=playbook, version="1", place={"web": place})


FLEET = Workspace(
    root=".",
    provider=Provider(),
    inventory=Inventory(
        owners={"acme": Owner(), "beta": Owner()},
        slices={"acme-1": _slice("acme", "web"), "acme-2": _slice("acme", "spare"), "beta-1": _slice("beta", "web")},
    ),
    apps={
        "acme-files": _app("acme-files", "acme", "copyparty", ("acme-1",)),
        "beta-files": _app("beta-files", "beta", "copyparty", ("beta-1",)),
        "beta-crm": _app("beta-crm", "beta", "tryton", ("beta-1",)),
    },
    playbooks={},
)


@pytest.mark.parametrize(
    ("selectors", "excluded", "apps"),
    [
        ((), (), ("acme-files", "beta-files", "beta-crm")),
        (("acme-files",), (), ("acme-files",)),
        (("*-files",), (), ("acme-files", "beta-files")),
        (("owner:beta",), (), ("beta-files", "beta-crm")),
        (("owner:beta",), ("playbook:tryton",), ("beta-files",)),
        (("slice:acme-*",), (), ("acme-files",)),
        (("label:role=web",), ("owner:acme",), ("beta-files", "beta-crm")),
        (("label:role=spare",), (), ()),
        (("beta-crm", "acme-files"), (), ("acme-files", "beta-crm")),
        ((), ("owner:*",), ()),
    ],
)
def test_what_is_selected(selectors: tuple[str, ...], excluded: tuple[str, ...], apps: tuple[str, ...]) -> None:
    """Any of the selectors and none of the excluded, in the order of the workspace."""
    assert selected(FLEET, selectors, excluded) == apps


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("acme-file", "did you mean acme-files?"),
        ("owner:acne", "did you mean owner:acme?"),
        ("slice:acme-11", "did you mean slice:acme-1?"),
        ("slice:s9", "the slices are acme-1, acme-2, beta-1"),
        ("owner:xyz", "the owners are acme, beta"),
        ("label:role=db", "the apps are acme-files, beta-files, beta-crm"),
        ("color:red", "color is none of owner, slice, label, playbook"),
        ("", "the apps are acme-files, beta-files, beta-crm"),
    ],
)
def test_what_matches_nothing(selector: str, why: str) -> None:
    """It is an error that names the nearest right word."""
    with pytest.raises(UsageError) as told:
        selected(FLEET, (selector,))
    assert told.value.why == why


def test_a_slice_can_be_meant_itself() -> None:
    """A spare has no app, and can be looked at all the same."""
    assert slices_of(FLEET, ("beta-crm",), ("slice:acme-2",)) == ("acme-2", "beta-1")
    assert slices_of(FLEET, (), ("label:role=spare",)) == ("acme-2",)


@pytest.mark.parametrize(
    ("selectors", "excluded", "slices"),
    [
        ((), (), ("acme-1", "acme-2", "acme-3", "beta-1")),
        (("slice:acme-1",), (), ("acme-1",)),
        (("label:role=database",), (), ("acme-3",)),
        (("acme-crm",), (), ("acme-1", "acme-3")),
        (("playbook:tryton", "slice:acme-2"), (), ("acme-1", "acme-2", "acme-3")),
        (("owner:acme",), (), ("acme-1", "acme-2", "acme-3")),
        (("slice:*",), ("slice:acme-3",), ("acme-1", "acme-2", "beta-1")),
        (("slice:*",), ("acme-crm",), ("acme-2", "beta-1")),
        (("slice:*",), ("owner:acme",), ("beta-1",)),
        ((), ("label:role=web",), ("acme-2", "acme-3")),
        (("acme-crm",), ("slice:acme-1",), ("acme-3",)),
    ],
)
def test_which_machines_are_worked_on(
    selectors: tuple[str, ...], excluded: tuple[str, ...], slices: tuple[str, ...]
) -> None:
    """A slice that is named is meant alone, and one that is left out is, whatever else the selectors say."""
    crm = AppSpec(
        app="acme-crm", owner="acme", playbook="tryton", version="1", place={"db": ("acme-3",), "web": ("acme-1",)}
    )
    roles = {"acme-1": "web", "acme-2": "spare", "acme-3": "database", "beta-1": "web"}
    inventory = Inventory(
        owners={"acme": Owner(), "beta": Owner()},
        slices={name: _slice(name.partition("-")[0], role) for name, role in roles.items()},
    )
    files = _app("beta-files", "beta", "copyparty", ("beta-1",))
    fleet = replace(FLEET, inventory=inventory, apps={"acme-crm": crm, "beta-files": files})
    assert machines(fleet, selectors, excluded) == slices


@pytest.mark.parametrize("selector", ["slice:acme-11", "owner:acne", "color:red", "acme-file"])
def test_no_machine_is_meant_by_what_matches_nothing(selector: str) -> None:
    """As a selector, and as one to leave out."""
    for words in ((selector,), ()), ((), (selector,)):
        with pytest.raises(UsageError):
            machines(FLEET, *words)
