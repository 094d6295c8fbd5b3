"""The kinds of resources: each file holds one kind, its check and its apply as shell."""

from collections.abc import Mapping
from typing import assert_never

from tfheal.core.resources import (
    archive,
    cluster,
    command,
    container,
    directory,
    file,
    firewall,
    migrate,
    npm,
    packages,
    postgres,
    reflex,
    unit,
    user,
    venv,
)
from tfheal.core.resources.step import Step
from tfheal.model.release import Release
from tfheal.model.resources import (
    Archive,
    Command,
    Container,
    Directory,
    File,
    Firewall,
    Npm,
    Packages,
    Postgres,
    Resource,
    Unit,
    User,
    Venv,
)

__all__ = ["Step", "steps"]


def steps(release: Release, secrets: Mapping[tuple[str, int], str], *, migrated: bool = False) -> tuple[Step, ...]:
    """Given a release and the values of its secrets by name and version, return its steps in the order of the release.

    The service unit carries out the restarts that earlier steps made due, so it belongs behind what it depends on;
    its data is brought to its version right before (`migrated`: another instance has done that), and to its cluster before its databases are; the part that the local reflex has in it comes last.
    Raise UsageError for a value that cannot be made into a step.
    """
    own = tuple(_step(resource, release, secrets) for resource in release.resources)
    if moves := cluster.step(release):
        first = next(index for index, one in enumerate(release.resources) if isinstance(one, Postgres))
        own = (*own[:first], moves, *own[first:])
    if release.migrate:
        data = migrate.adopted(release) if migrated else migrate.step(release, release.migrate, secrets)
        own = (*own[:-1], data, own[-1])
    return (*own, reflex.step(release, release.reflex, secrets)) if release.reflex else own


def _step(resource: Resource, release: Release, secrets: Mapping[tuple[str, int], str]) -> Step:  # noqa: C901, PLR0911, PLR0912 - one per kind
    match resource:
        case Packages():
            return packages.step(resource)
        case Directory():
            return directory.step(resource, release)
        case File():
            return file.step(resource, release, secrets)
        case User():
            return user.step(resource, release)
        case Unit():
            return unit.step(resource, release)
        case Venv():
            return venv.step(resource, release)
        case Npm():
            return npm.step(resource, release)
        case Archive():
            return archive.step(resource, release)
        case Container():
            return container.step(resource, release)
        case Firewall():
            return firewall.step(resource, release)
        case Postgres():
            return postgres.step(resource, release, secrets)
        case Command():
            return command.step(resource, secrets)
        case _:
            assert_never(resource)
