"""Numbers that would switch a protection off are mistakes: a time-out of nothing is none, a budget of no time is no budget."""

import pytest
from pydantic import ValidationError

from tfheal.model.playbook import Check, Service
from tfheal.model.resources import Command
from tfheal.model.workspace import HealPolicy, SshPolicy

CHECK = {"name": "it", "kind": "alive", "tcp": 1}
COMMAND = {"kind": "command", "name": "it", "run": ":", "done": ":"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Check, CHECK | {"timeout": 0}),
        (Check, CHECK | {"timeout": "61s"}),
        (Service, {"exec": "/x", "start_timeout": "0s"}),
        (Service, {"exec": "/x", "stop_timeout": "0s"}),
        (Command, COMMAND | {"timeout": "0s"}),
        (HealPolicy, {"budget_window": "0s"}),
        (HealPolicy, {"budget": 0}),
        (HealPolicy, {"asks": 0}),
        (HealPolicy, {"chronic": 1}),
        (HealPolicy, {"disk_full_share": 1.0}),
        (SshPolicy, {"connect_timeout": "0s"}),
        (SshPolicy, {"banner_timeout": "0s"}),
        (SshPolicy, {"login_timeout": "0s"}),
        (SshPolicy, {"silence": "2s"}),
    ],
)
def test_it_is_refused(
    model: type[Check | Service | Command | HealPolicy | SshPolicy], words: dict[str, object]
) -> None:
    """Each of these would make something endless."""
    with pytest.raises(ValidationError):
        model.model_validate(words)


def test_the_defaults_are_within_the_limits() -> None:
    """And the least that is needed is enough."""
    assert Check.model_validate(CHECK).timeout == 5.0
    assert Command.model_validate(COMMAND).timeout == 300.0
    assert HealPolicy().budget_window == 1_800.0
