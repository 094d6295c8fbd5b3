"""`playbook.yaml`: how one application is deployed, checked and healed.

Text fields of a component may hold templates. They see: app, owner, version, hostname, component, slice, address,
user, unit, unit_stem, home, current, config, data, lock, settings.NAME, secrets.NAME, peers.COMPONENT, the addresses
of the slices on which another component of the app runs, routes, what is led through this app as a gateway, and
gateways, the addresses of the slices of the gateway that leads to it.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tfheal.model.names import Duration, Name, Size, Strict
from tfheal.model.resources import OWN_UNIT, Container, PackageName, Postgres, Resource, SlicePath, Text

CheckKind = Literal["alive", "ready", "consistent", "stored"]
Rung = Literal["restart", "free-disk", "redeploy", "rollback", "rebuild", "recreate", "restore", "rehome", "page"]
SHIPPED_LADDER: tuple[Rung, ...] = (
    *("restart", "free-disk", "redeploy", "rollback", "rebuild", "recreate", "restore", "rehome", "page"),
)
Permission = Literal[Rung, "restore-logical"]  # what an app allows healing to do
WayBack = Literal["safe", "needs-restore", "forbidden"]
PyPiName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+~-]{0,40}$")]
Setting = str | int | bool
SettingName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class SettingSpec(Strict):
    """One thing that an app spec may set; without a default it must."""

    type: Literal["text", "number", "boolean"] = Field(
        default="text", description="text, a whole number, or true and false"
    )
    default: Setting | None = Field(default=None, description="what it is when an app spec does not say")
    choices: tuple[Setting, ...] = Field(default=(), description="the values that it can have")
    minimum: int | None = Field(default=None, description="of a number")
    maximum: int | None = Field(default=None, description="of a number")
    pattern: str | None = Field(default=None, max_length=200, description="a regular expression for the whole text")
    description: Text = Field(description="what it means, for who writes an app spec")


class SecretSpec(Strict):
    """One secret, made of random letters and digits on the first deploy."""

    length: int = Field(default=24, ge=12, le=128, description="how many letters and digits")
    description: Text = Field(description="what it is for")
    show: bool = Field(default=False, description="the admin's: `deploy` says at its end how to get it")


class HttpCheck(Strict):
    """Ask a URL, on the slice itself."""

    url: Text = Field(description="asked on the slice itself")
    status: int = Field(default=200, description="the HTTP status that passes")
    contains: str | None = Field(default=None, description="a text that the answer must hold")


class Check(Strict):
    """A question about health, asked on the slice; exactly one of http, tcp, command and template."""

    name: Name = Field(description="how status calls it")
    kind: CheckKind = Field(
        description="alive: does it run (may heal, depends on nothing else) · ready: does it serve · consistent: is its data right · stored: does what changes reach the store (calls a human, and says nothing of the service)"
    )
    http: HttpCheck | None = Field(default=None, description="a URL to ask")
    tcp: int | Text | None = Field(default=None, description="a port on the slice that accepts connections")
    command: Text | None = Field(default=None, description="POSIX sh; exit 0 passes, what it prints is the detail")
    template: Text | None = Field(default=None, description="a file beside the playbook with such a command")
    timeout: Duration = Field(default=5.0, gt=0, le=60, description="after which the check failed")

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
    type: Literal["simple", "exec", "notify", "forking", "oneshot"] = Field(
        default="exec", description="as systemd's Type="
    )
    user: Text = Field(default="{{ user }}", description="the user that it runs as")
    environment: dict[str, str] = Field(default_factory=dict, description="no secrets here: it can be read by others")
    credentials: dict[Name, Text] = Field(
        default_factory=dict, description="LoadCredential=: name and the file on the slice that holds it"
    )
    writable: tuple[SlicePath, ...] = Field(default=(), description="folders that the service may write to")
    ports_below_1024: bool = Field(default=False, description="whether it may listen on them")
    memory: Size | None = Field(default=None, description="MemoryMax=")
    tasks: int | None = Field(default=None, ge=1, description="TasksMax=")
    stop_timeout: Duration = Field(default=30.0, gt=0, description="how long a stop may take")
    start_timeout: Duration = Field(default=60.0, gt=0, description="how long a start may take until `alive` passes")
    directives: dict[str, str] = Field(default_factory=dict, description="further [Service] lines; they win over ours")


class Assertion(Strict):
    """What a drill asks of restored data, such as a least number of rows, or how old the newest may be."""

    name: Name = Field(description="how a drill calls it")
    command: Text = Field(
        description="POSIX sh, run as root without a network, the restored data where the live one is; exit 0: it is as it should be"
    )


class Mount(Strict):
    """A file system that is mounted below a folder of data."""

    path: SlicePath = Field(description="where it is mounted")
    taken: bool = Field(description="whether a backup takes it; what is taken has to be mounted")


class DataSet(Strict):
    """A folder of the owner's data."""

    name: Name = Field(description="how it is called in messages")
    path: SlicePath = Field(default="{{ data }}", description="the folder")
    asserts: tuple[Assertion, ...] = Field(
        default=(), exclude_if=lambda value: not value, description="what a drill asks of it, once it is restored"
    )
    mounts: tuple[Mount, ...] = Field(
        default=(),
        exclude_if=lambda value: not value,
        description="the file systems that are mounted below it; any other one there makes a backup partial",
    )


def _is_none(value: object) -> bool:
    """Return whether a field may stay out of what is hashed: a release without it keeps the id that it had before."""
    return value is None


class Dump(Strict):
    """Data that is not a folder, taken at one moment of its own; exactly one of postgres, sqlite and command."""

    name: Name = Field(description="how it is called in messages and in a backup")
    postgres: Text | None = Field(
        default=None,
        exclude_if=_is_none,
        description="a database that a `postgres` resource of this component makes; `restore` puts it back",
    )
    sqlite: SlicePath | None = Field(
        default=None,
        exclude_if=_is_none,
        description="a file of SQLite, taken by VACUUM INTO; `restore` puts it back",
    )
    command: Text | None = Field(
        default=None,
        exclude_if=_is_none,
        description="bash, run as root, that writes all of it to stdout and says by its exit status whether it did; no secrets in it; `restore --scratch` brings it back",
    )

    wal: bool = Field(
        default=False,
        exclude_if=lambda value: not value,
        description="of a database: every change is stored too, within a minute or so, so that `restore --at` goes to any second",
    )

    @property
    def returns(self) -> bool:
        """Return whether a restore puts it in its place, and not only into a folder."""
        return self.command is None

    @model_validator(mode="after")
    def _one_way(self) -> "Dump":
        if sum(way is not None for way in (self.postgres, self.sqlite, self.command)) != 1:
            msg = "a dump has exactly one of postgres, sqlite and command"
            raise ValueError(msg)
        if self.wal and self.postgres is None:
            msg = "wal is of a database of PostgreSQL"
            raise ValueError(msg)
        return self


class Quiesce(Strict):
    """How a component is made to hold still while its folders are read, and to go on; it goes on whatever happens."""

    freeze: Text = Field(description="bash, run as root; when it fails, nothing is taken")
    thaw: Text = Field(description="bash, run as root, also when freeze failed, and more than once")
    longest: Duration = Field(
        default=60.0,
        gt=0,
        le=3_600,
        description="after which the slice thaws it by itself; what was taken is `partial`",
    )


class Migrate(Strict):
    """How the data of a component is brought to its version: before the service starts, and while it is stopped.

    It has to do with data of any older version, with none, and with what it left when it was cut off: it is run again then.
    """

    command: Text = Field(description="POSIX sh; exit 0: the data is of this version now; no secrets on an argv")
    user: Text = Field(default="{{ user }}", description="the user that it runs as")
    timeout: Duration = Field(default=600.0, gt=0, le=43_200, description="how long it may take")
    series: Text | None = Field(
        default=None,
        exclude_if=_is_none,
        description="of which version the data is; between two versions with the same one nothing is migrated; none: every version has its own",
    )
    compatible: bool = Field(
        default=False,
        description="whether the version before can work on what it leaves: then one instance is upgraded at a time, and else while all of the app is stopped",
    )


class ComponentRoute(Strict):
    """How a gateway reaches a component, on each of its slices, over HTTP."""

    port: int | Text = Field(description="the port that it answers on")
    health: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/?&=,:@+-]*$")] = Field(
        default="/", description="the path that the gateway asks; status 200: it may get requests"
    )


class Component(Strict):
    """One part of an application: what is on its slice, what runs, how its health is asked."""

    needs: tuple[Name, ...] = Field(default=(), description="components that must be healthy first")
    packages: tuple[PackageName, ...] = Field(default=(), description="short for a first resource of kind packages")
    resources: tuple[Resource, ...] = Field(default=(), description="what shall be on the slice, in this order")
    service: Service | None = Field(default=None, description="the process that runs, if one does")
    unit: Text | None = Field(
        default=None,
        description="in place of a service: a unit that the packages bring, watched and restarted; none: that of its container",
    )
    checks: tuple[Check, ...] = Field(default=(), description="the questions about its health")
    data: tuple[DataSet, ...] = Field(default=(), description="the folders of the owner's data")
    dumps: tuple[Dump, ...] = Field(default=(), description="data that is no folder, such as a database")
    quiesce: Quiesce | None = Field(default=None, description="what is done around the reading of the folders")
    ladder: tuple[Rung, ...] = Field(default=SHIPPED_LADDER, min_length=1, description="the remedies, in order")
    migrate: Migrate | None = Field(default=None, description="how its data is brought to a version, if it has to be")
    route: ComponentRoute | None = Field(default=None, description="how a gateway reaches it, if one may")
    url: Text | None = Field(default=None, description="where the app answers, told at the end of a deploy")

    @model_validator(mode="after")
    def _known_databases(self) -> "Component":
        made = {one.database for one in self.resources if isinstance(one, Postgres)}
        if unknown := [dump.postgres for dump in self.dumps if dump.postgres is not None and dump.postgres not in made]:
            msg = f"dumps: no resource of kind postgres makes the database {unknown[0]}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _migrates_stopped(self) -> "Component":
        if self.migrate is not None and self.service is None:
            msg = "migrate: it is run while the service of the component is stopped, and this one has none"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _one_unit(self) -> "Component":
        if self.service is not None and self.unit is not None:
            msg = "a component has a service of its own, or names a unit of its packages, not both"
            raise ValueError(msg)
        own = (one for one in self.resources if isinstance(one, Container) and one.name == OWN_UNIT)
        if self.service is not None and any(own):
            msg = "a component has a service of its own, or a container in its place: give the container another name"
            raise ValueError(msg)
        return self


class CanaryRules(Strict):
    """How a version is tried on one instance, with a share of the traffic, before the others get it."""

    share: float = Field(default=10.0, ge=1, le=50, description="percent of the requests that it gets")
    time: Duration = Field(default=600.0, description="for how long it is compared with the others")


class UpgradeRules(Strict):
    """When a release is trusted, and whether one may go back from a version to an older one."""

    soak: Duration = Field(
        default=600.0,
        description="healthy for so long without a restart, a release is known good (Nomad: 10 minutes for an upgrade)",
    )
    rollback: WayBack = Field(
        default="needs-restore",
        description="from a version to an older one: safe, when that can read the data; needs-restore; or forbidden",
    )
    versions: dict[Version, WayBack] = Field(
        default_factory=dict, description="the same for going back from, or past, single versions"
    )
    errors: float = Field(
        default=1.0,
        ge=0,
        le=100,
        description="behind a gateway: by how many percent of its requests more a version may fail than the one before",
    )
    canary: CanaryRules = Field(default=CanaryRules(), description="what `--strategy canary` does")


class Playbook(Strict):
    """How one application is deployed, checked and healed."""

    playbook: Name = Field(description="its name, as its folder is named")
    title: Text = Field(description="a word or two for people")
    description: str = Field(default="", description="one sentence: what the application is for")
    versions: dict[Version, Text] = Field(
        min_length=1, description="each version, and the lock file of its exact packages and hashes"
    )
    pypi: PyPiName | None = Field(
        default=None,
        description="its package in the index of Python packages, of the same versions: newer ones there are information",
    )
    upgrade: UpgradeRules = Field(default=UpgradeRules(), description="when a release is trusted, and the ways back")
    settings: dict[SettingName, SettingSpec] = Field(default_factory=dict, description="what an app spec may set")
    secrets: dict[SettingName, SecretSpec] = Field(
        default_factory=dict, description="what is made on the first deploy and kept encrypted"
    )
    components: dict[Name, Component] = Field(min_length=1, description="its parts, each placed on slices of its own")

    @property
    def routed(self) -> str | None:
        """Return the component that a gateway leads to, if there is one."""
        return next((name for name, component in self.components.items() if component.route), None)

    @model_validator(mode="after")
    def _one_door(self) -> "Playbook":
        if sum(component.route is not None for component in self.components.values()) > 1:
            msg = "components: one component has a route; which of them would a host name lead to?"
            raise ValueError(msg)
        return self
