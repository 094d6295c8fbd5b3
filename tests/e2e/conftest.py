"""The shipped example on a lab of its own: deployed once, broken and healed by every test."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from customer import Customer
from running_lab import RunningLab, name_of_ours

EXAMPLES = Path(__file__).parents[2] / "examples"
# Small numbers, so that a test waits for seconds where an operator waits for minutes; the rules are the same.
IMPATIENT = """\
name = "Test provider"
ask_index = false
[page]
command = ["./page"]
[ssh]
patience = "2s"
connect_timeout = "2s"
banner_timeout = "4s"
login_timeout = "4s"
[heal]
ask_every = "300ms"
backoff = "500ms"
budget = 20
budget_window = "60s"
healthy_for = "1s"
chronic = 1000
"""
PAGE = """\
#!/bin/sh
cat >>pages.jsonl
echo >>pages.jsonl
"""


def workspace_of(example: str, folder: Path) -> Path:
    """Given the name of an example and a folder, make it a workspace with small numbers and a page that is kept."""
    shutil.copytree(EXAMPLES / example, folder)
    for spec in (folder / "apps").glob("*.yaml"):  # what is broken waits for our own heal; test_reflex.py has it on
        spec.write_text(f"{spec.read_text()}heal: {{reflex: off}}\n")
    (folder / "tfheal.toml").write_text(IMPATIENT)
    (folder / "page").write_text(PAGE)
    (folder / "page").chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def made_workspace() -> Callable[[str, Path], Path]:
    """Return what makes an example a workspace in a folder."""
    return workspace_of


@pytest.fixture(scope="session")
def fleet(lab_ground: Path) -> Iterator[RunningLab]:
    """Three slices and the example's workspace; nothing is deployed yet."""
    folder = workspace_of("copyparty", lab_ground / "fleet")
    running = RunningLab(name_of_ours("fleet"), folder, ("env", f"TFHEAL_AGE_KEY_FILE={lab_ground / 'fleet.key'}"))
    try:
        running.run("lab", "up", "--slices", "3", "--name", running.name, "--yes")
        yield running
    finally:
        running.run("lab", "down", "--name", running.name)


@pytest.fixture(scope="session")
def deployed(fleet: RunningLab) -> RunningLab:
    """Deploy the example on s1."""
    fleet.run("deploy", "files")
    return fleet


@pytest.fixture
def shop(deployed: RunningLab) -> Iterator[RunningLab]:
    """Have the example healthy before the test, and mended after it, whatever the test did."""
    deployed.run("deploy", "files")
    deployed.run("heal", "--auto")
    yield deployed
    deployed.do("mend", "s1")


@pytest.fixture
def customer(shop: RunningLab) -> Customer:
    """Make a customer who keeps a file in the store."""
    customer = Customer.of(shop, "s1")
    customer.put("kept.txt", b"what the customer keeps\n" * 1000)
    return customer
