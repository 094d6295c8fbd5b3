"""A command with a guard: the guard is its check, and must pass after it ran."""

from collections.abc import Mapping
from typing import Final

from tfheal.core.resources.step import Step, apply_script, check_script
from tfheal.model.release import filled
from tfheal.model.resources import Command, resource_id

# The texts are the playbook's own. Each is evaluated in a subshell, so that its mistakes stay its own; no other program
# is started for it, so that no secret in it is on an argv. From 126 on a status says that something could not be run.
_CHECK: Final = r"""
said=$(exec 2>&1; eval "$guard")
status=$?
said=$(printf %.500s "$said")
[ "$status" -ne 0 ] || exit 0
if [ "$status" -ge 126 ] || [ "$status" -eq 2 ]; then unknown "its guard ended with status $status: $said"; fi
differs "not done${said:+: $said}"
"""
_APPLY: Final = r"""
evaluate() (
    set +eu
    eval "$1"
)
evaluate "$run" || fail "it failed with status $?"
evaluate "$guard" || fail "it ran, but its guard still says that it is not done"
"""
_REMOVE: Final = r"""
(
    set +eu
    eval "$undo"
) || fail "it failed with status $?"
"""


def step(command: Command, secrets: Mapping[tuple[str, int], str]) -> Step:
    """Given a rendered command and the secrets it names, return its step."""
    guard = filled(command.done, secrets)
    return Step(
        id=resource_id(command),
        check=check_script(_CHECK, guard=guard),
        apply=apply_script(_APPLY, run=filled(command.run, secrets), guard=guard),
        remove=None if command.undo is None else apply_script(_REMOVE, undo=filled(command.undo, secrets)),
        timeout=command.timeout,
        check_timeout=30.0,
    )
