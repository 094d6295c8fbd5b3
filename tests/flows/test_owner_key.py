"""The owner's key: what was made is handed over however it went with the others, and no repository is forgotten."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from stored import Answers, Fleet, deployed, moved

from tfheal.base.errors import ConnectFailed, ConnectionLost, Refused, TfhealError
from tfheal.core.backup.capture import NO_REPOSITORY
from tfheal.flows.owner_key import owner_key
from tfheal.flows.revoke import revoke_provider
from tfheal.model.ownership import Handover

SPEC = """\
app: shelf
owner: acme
playbook: copyparty
version: "1.20.26"
place: {web: [a1]}
backup: {to: a2, copy_to: a3}
"""
KEY = '[{"id": "11111111", "current": false, "userName": "owner"}]'
PROVE = 3  # after reach, open and add


@dataclass
class Stores:
    """Two stores that know which keys they have, of which one may fail."""

    keys: set[tuple[str, str]] = field(default_factory=set)
    fails: dict[str, TfhealError | Answers] = field(default_factory=dict)
    missing: str = ""

    def answer(self, store: str, script: str) -> Answers:
        """List a key if there is one, or make it."""
        folder = next(one for one in ("a1", "a9") if f"/{one}\n" in script or f"store/{one}" in script)
        if folder == self.missing:
            return {1: (NO_REPOSITORY, "")}
        if "r key list" in script:
            return {2: (0, KEY if (store, folder) in self.keys else "[]")}
        fails = self.fails.get(store, {})
        if isinstance(fails, TfhealError):
            if isinstance(fails, ConnectionLost):
                self.keys.add((store, folder))
            raise fails
        self.keys.add((store, folder))
        return fails


@contextmanager
def shelf(folder: Path, stores: Stores) -> Iterator[Fleet]:
    """Give an app with two stores, backed up once."""
    with deployed(folder, SPEC, stores.answer) as fleet:
        fleet.took("1", "a1")
        yield fleet


def passwords(made: Handover) -> int:
    """Return how many passwords are on a sheet."""
    return made.sheet.count(">password-")


def test_what_was_made_is_handed_over(tmp_path: Path) -> None:
    """The second store does not answer: the sheet has the key to the first, names the other, and the next run makes that."""
    stores = Stores(fails={"a3": ConnectFailed("no route", where="a3")})
    with shelf(tmp_path, stores) as fleet:
        made = owner_key(fleet.workspace, "shelf", fleet.ports)
        assert (passwords(made), list(made.repositories), made.exit) == (1, ["a1"], 5)
        assert made.failed == {"a1@a3": "a3: no route"}
        with pytest.raises(ConnectFailed):
            owner_key(fleet.workspace, "shelf", fleet.ports)
        stores.fails.clear()
        rest = owner_key(fleet.workspace, "shelf", fleet.ports)
        assert (passwords(rest), list(rest.repositories), rest.exit) == (1, ["a1@a3"], 0)
        with pytest.raises(Refused, match="handed over before"):
            owner_key(fleet.workspace, "shelf", fleet.ports)


@pytest.mark.parametrize("how", [ConnectionLost("it fell silent", where="a3"), {PROVE: (1, "")}])
def test_what_may_have_been_made_is_handed_over_too(tmp_path: Path, how: TfhealError | Answers) -> None:
    """Cut in the middle, or made and not tried: the next run would take it for handed over, so its password is on the sheet."""
    with shelf(tmp_path, Stores(fails={"a3": how})) as fleet:
        made = owner_key(fleet.workspace, "shelf", fleet.ports)
        assert (passwords(made), list(made.failed), made.exit) == (2, ["a1@a3"], 5)


def test_a_slice_that_the_app_left_keeps_no_secret(tmp_path: Path) -> None:
    """Its repository is on the sheet with the folders that were its, `--new` replaces the key to it, and revoking tries ours."""
    stores = Stores()
    with shelf(tmp_path, stores) as first:
        owner_key(first.workspace, "shelf", first.ports)
        fleet = moved(first, "shelf", "a1", "a9")
        fleet.took("2", "a9")
        made = owner_key(fleet.workspace, "shelf", fleet.ports)
        assert list(made.repositories) == ["a9", "a9@a3"]
        again = owner_key(fleet.workspace, "shelf", fleet.ports, new=True)
        assert set(again.repositories) == {"a9", "a1", "a9@a3", "a1@a3"}
        assert "restore latest --path /srv/x --target restored/a1\n" in again.sheet
        revoked = revoke_provider(fleet.workspace, "shelf", fleet.ports)
        assert set(revoked.opening) == {"a9", "a1", "a9@a3", "a1@a3"}


def test_a_slice_that_left_nothing_is_passed_over(tmp_path: Path) -> None:
    """A repository that was never made, or that its owner deleted, is in nobody's way."""
    with shelf(tmp_path, Stores(missing="a1")) as first:
        fleet = moved(first, "shelf", "a1", "a9")
        fleet.took("2", "a9")
        assert list(owner_key(fleet.workspace, "shelf", fleet.ports).repositories) == ["a9", "a9@a3"]
