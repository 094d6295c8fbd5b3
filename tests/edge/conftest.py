"""The server that the tests of the transport share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from real_sshd import Sshd, make_keys, running_sshd


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the keys that all servers of the run show and accept."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def shared_sshd(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Sshd]:
    """Run one server with default settings for the whole run."""
    with running_sshd(tmp_path_factory.mktemp("sshd"), keys) as server:
        yield server


@pytest.fixture
def sshd(shared_sshd: Sshd) -> Iterator[Sshd]:
    """Lend the shared server; what a test opens to it is closed at its end."""
    yield shared_sshd
    while shared_sshd.transports:
        shared_sshd.transports.pop().close()


@pytest.fixture
def make_sshd(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Callable[..., Sshd]]:
    """Make servers with settings of their own."""
    with ExitStack() as stack:

        def make(**options: str) -> Sshd:
            return stack.enter_context(running_sshd(tmp_path_factory.mktemp("sshd"), keys, **options))

        yield make


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a home with an empty ~/.ssh, and no agent."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"
