"""The order in which files of tests are given out: whoever takes long starts early, so that no worker ends alone.

A file is played by one worker as a whole. Given out by how many tests are in it, as pytest-xdist does, files of two tests
that take minutes came last, and the other workers waited for them.
"""

import pytest

# What keeps one of three workers on two cores busy for more than about a minute, longest first, as far as runs have told.
LONGEST = (
    "tests/e2e/test_backup.py",
    "tests/e2e/test_tryton.py",
    "tests/e2e/test_gateway.py",
    "tests/e2e/test_upgrade_closed.py",
    "tests/hostile/test_hostile.py",
    "tests/e2e/test_faults.py",
    "tests/e2e/test_deploy.py",
    "tests/e2e/test_databases.py",
    "tests/e2e/test_lost_slices.py",
    "tests/e2e/test_cadence.py",
    "tests/e2e/test_lost_data.py",
    "tests/lab/resources/test_resources_software.py",
    "tests/playbooks/test_copyparty.py",
    "tests/lab/test_faults.py",
    "tests/e2e/test_upgrade.py",
    "tests/e2e/test_upgrade_traffic.py",
    "tests/e2e/test_patch.py",
    "tests/faults/test_each_fault.py",
    "tests/house/test_package.py",
    "tests/e2e/test_demo.py",
    "tests/hostile/test_secrets.py",
    "tests/e2e/test_backup_adversary.py",
    "tests/e2e/test_backup_elsewhere.py",
)


def longest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Given tests, return them by file: the longest, then what boots slices, then the rest; inside a file as they stood."""
    boots = {_file(item) for item in items if item.get_closest_marker("lab")}
    rank = {name: place for place, name in enumerate(LONGEST)}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = _file(item)
        return rank.get(name, len(LONGEST)), name not in boots

    return sorted(items, key=place)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
