"""`playbook.yaml`: how one application is deployed, checked and healed.

Text fields of a component may hold templates. They see: app, owner, version, hostname, component, slice, address,
user, unit, unit_stem, home, current, config, data, lock, settings.NAME, secrets.NAME, and peers.COMPONENT, the
addresses of the slices on which another component of the app runs.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tfheal.model.names import Duration, Name, Size, Strict
from tfheal.model.resources import Resource, SlicePath, Text

CheckKind = Literal["alive", "ready", "consistent"]
Rung = Literal["restart", "free-disk", "redeploy", "page"]
SHIPPED_LADDER: tuple[Rung, ...] = ("restart", "free-disk", "redeploy", "page")
Setting = str | int | bool
SettingName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class SettingSpec(Strict):
    """One thing that an app spec may set; without a default it must."""

    type: Literal["text", "number", "boolean"] = "text"
    default: Setting | None = None
    choices: tuple[Setting, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = Field(default=None, max_length=200, description="a regular expression for the whole text")
    description: Text


class SecretSpec(Strict):
    """One secret, made of random letters and digits on the first deploy."""

    length: int = Field(default=24, ge=12, le=128)
    description: Text
    show: bool = Field(default=False, description="the admin's: `deploy` says at its end how to get it")


class HttpCheck(Strict):
    """Ask a URL, on the slice itself."""

    url: Text
    status: int = 200
    contains: str | None = None


class Check(Strict):
    """A question about health, asked on the slice; exactly one of http, tcp, command and template."""

    name: Name
    kind: CheckKind
    http: HttpCheck | None = None
    tcp: int | Text | None = Field(default=None, description="a port on the slice that accepts connections")
    command: Text | None = Field(default=None, description="POSIX sh; exit 0 passes, what it prints is the detail")
    template: Text | None = Field(default=None, description="a file beside the playbook with such a command")
    timeout: Duration = Field(default=5.0, le=60, description="after which the check failed")

    @model_validator(mode="after")
    def _one_question(self) -> "Check":
        if sum(question is not None for question in (self.http, self.tcp, self.command, self.template)) != 1:
            msg = "a check has exactly one of http, tcp, command and template"
            raise ValueError(msg)
        return self


class Service(Strict):
    """The process that a component runs; it becomes a hardened systemd unit."""

    exec: Text = Field(description="the command line, as ExecStart= wants it")
    pre: tuple[Text, ...] = Field(default=(), description="ExecStartPre= commands")
    reload: Text | None = Field(default=None, description="ExecReload= command")
    type: Literal["simple", "exec", "notify", "forking", "oneshot"] = "exec"
    user: Text = Field(default="{{ user }}")
    environment: dict[str, str] = Field(default_factory=dict, description="no secrets here: it can be read by others")
    credentials: dict[Name, Text] = Field(
        default_factory=dict, description="LoadCredential=: name and the file on the slice that holds it"
    )
    writable: tuple[SlicePath, ...] = Field(default=(), description="folders that the service may write to")
    ports_below_1024: bool = False
    memory: Size | None = Field(default=None, description="MemoryMax=")
    tasks: int | None = Field(default=None, ge=1, description="TasksMax=")
    stop_timeout: Duration = 30.0
    start_timeout: Duration = Field(default=60.0, description="how long a start may take until `alive` passes")
    directives: dict[str, str] = Field(default_factory=dict, description="further [Service] lines; they win over ours")


class DataSet(Strict):
    """A folder of the owner's data."""

    name: Name
    path: SlicePath = "{{ data }}"


class Component(Strict):
    """One part of an application: what is on its slice, what runs, how its health is asked."""

    needs: tuple[Name, ...] = Field(default=(), description="components that must be healthy first")
    packages: tuple[str, ...] = Field(default=(), description="short for a first resource of kind packages")
    resources: tuple[Resource, ...] = ()
    service: Service | None = None
    checks: tuple[Check, ...] = ()
    data: tuple[DataSet, ...] = ()
    ladder: tuple[Rung, ...] = Field(default=SHIPPED_LADDER, min_length=1)
    url: Text | None = Field(default=None, description="where the app answers, told at the end of a deploy")


class Playbook(Strict):
    """How one application is deployed, checked and healed."""

    playbook: Name
    title: Text
    description: str = ""
    versions: dict[Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~-]{0,40}$")], Text] = Field(
        min_length=1, description="each version, and the lock file of its exact packages and hashes"
    )
    settings: dict[SettingName, SettingSpec] = Field(default_factory=dict)
    secrets: dict[SettingName, SecretSpec] = Field(default_factory=dict)
    components: dict[Name, Component] = Field(min_length=1)
