"""A release: the rendered, content-addressed set of resources of one instance."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from tfheal.model.names import Strict
from tfheal.model.playbook import Check, DataSet, Dump, Migrate, Quiesce, Rung
from tfheal.model.resources import Resource

# A secret inside rendered text is this token until the script for its own slice is compiled: name and version, no value.
SECRET_TOKEN: Final = re.compile(r"⟦secret:([a-z][a-z0-9_]*):(\d+)⟧")


def secret_token(name: str, version: int) -> str:
    """Return the token that stands for a secret in rendered text."""
    return f"⟦secret:{name}:{version}⟧"


def _is_empty(value: object) -> bool:
    """Return whether a field may stay out of what is hashed: a release that has none keeps the id that it had before."""
    return not value


@dataclass(frozen=True, slots=True, order=True)
class InstanceName:
    """One component on one slice, written `app/component@slice`."""

    app: str
    component: str
    slice: str

    def __str__(self) -> str:
        """Return the written form."""
        return f"{self.app}/{self.component}@{self.slice}"

    @property
    def on_slice(self) -> str:
        """Return `app/component`, which is unique on one slice."""
        return f"{self.app}/{self.component}"


class Reflex(Strict):
    """What the slice itself asks of an instance, and restarts its unit for, while the provider is away.

    One that asks nothing is off: its part is taken away.
    """

    loop: int = Field(ge=1, description="the version of the loop that this was made for; a newer one does as well")
    asks: str = Field(default="", description="POSIX sh: exits 0 if it is alive, 1 if not, 2 if that cannot be known")
    patience: float = Field(default=2.0, gt=0, description="seconds after which the asking is ended")


class Release(Strict):
    """Everything of one instance, rendered; the same content has the same `id`."""

    app: str
    owner: str
    component: str
    slice: str
    playbook: str
    version: str
    needs: tuple[str, ...] = ()
    resources: tuple[Resource, ...]
    unit: str | None = Field(default=None, description="the service unit, if the component runs one")
    start_timeout: float = 60.0
    stop_timeout: float = 30.0
    checks: tuple[Check, ...] = ()
    reflex: Reflex | None = Field(
        default=None, description="none: it runs no unit, or was made before there was a reflex"
    )
    data: tuple[DataSet, ...] = ()
    dumps: tuple[Dump, ...] = Field(default=(), exclude_if=_is_empty)
    quiesce: Quiesce | None = Field(default=None, exclude_if=_is_empty)
    migrate: Migrate | None = Field(default=None, exclude_if=_is_empty)
    ladder: tuple[Rung, ...]
    url: str | None = None

    @property
    def instance(self) -> InstanceName:
        """Return whose release this is."""
        return InstanceName(self.app, self.component, self.slice)

    @property
    def id(self) -> str:
        """Return the content address: 16 hexadecimal digits of SHA-256 over the canonical JSON."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def secrets(self) -> frozenset[tuple[str, int]]:
        """Return name and version of every secret that the release refers to."""
        found = SECRET_TOKEN.findall(self.model_dump_json())
        return frozenset((name, int(version)) for name, version in found)


def filled(text: str, secrets: Mapping[tuple[str, int], str]) -> str:
    """Given rendered text and the secrets by name and version, return it with the tokens filled in."""
    return SECRET_TOKEN.sub(lambda match: secrets[match[1], int(match[2])], text)
