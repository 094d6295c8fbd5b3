"""A command with a guard: the guard is its check, and must pass after it ran."""

from collections.abc import Mapping
from typing import Final

from tfheal.core.resources.step import Step, apply_script, check_script
from tfheal.model.release import Release, filled
from tfheal.model.resources import Command, resource_id

_NOT_FOUND: Final = 126

# The texts are the playbook's own and stand in subshells as they are: inlined, so that no secret is on an argv.
_CHECK: Final = """
said=$(
exec 2>&1
{done}
)
status=$?
said=$(printf %.500s "$said")
[ "$status" -ne 0 ] || exit 0
[ "$status" -lt {not_found} ] || unknown "its guard cannot be asked: $said"
differs "not done${{said:+: $said}}"
"""
_APPLY: Final = """
run() (
set +eu
{run}
)
finished() (
set +eu
{done}
)
run || fail "it failed with status $?"
finished || fail "it ran, but its guard still says that it is not done"
"""
_REMOVE: Final = """
undo() (
set +eu
{undo}
)
undo || fail "it failed with status $?"
"""


def step(command: Command, _release: Release, secrets: Mapping[tuple[str, int], str]) -> Step:
    """Given a rendered command and the secrets it names, return its step."""
    run, done = filled(command.run, secrets), filled(command.done, secrets)
    undo = None if command.undo is None else filled(command.undo, secrets)
    return Step(
        id=resource_id(command),
        check=check_script(_CHECK.format(done=done, not_found=_NOT_FOUND)),
        apply=apply_script(_APPLY.format(run=run, done=done)),
        remove=None if undo is None else apply_script(_REMOVE.format(undo=undo)),
        timeout=command.timeout,
        check_timeout=30.0,
    )
