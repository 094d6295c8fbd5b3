"""`tfheal.toml`: the provider's own settings; every number has a shipped default and its source."""

import re
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tfheal.model.app import AppSpec, AutoPatch, Reboots
from tfheal.model.backup import ServiceLevel
from tfheal.model.inventory import Inventory
from tfheal.model.names import Duration, Name, Strict
from tfheal.model.playbook import Playbook
from tfheal.model.publication import NamesWay
from tfheal.model.window import Window

_LAST_PORT: Final = 65_535
SHIPPED_LEVEL: Final = "standard"
PING_SECRET: Final = ("tfheal", "ping_url")  # in the vault, where the first is an app
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]


def _peer(written: str) -> str:
    host_and_port(written)
    return written


def host_and_port(written: str) -> tuple[str, int]:
    """Given `HOST:PORT` or `[IPV6]:PORT`, return both; raise ValueError for anything else."""
    host, _, port = written.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    right = re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) <= _LAST_PORT
    if not right or not re.fullmatch(r"[A-Za-z0-9.:%_-]+", bare) or (":" in bare) != host.startswith("["):
        msg = "a reference peer is written HOST:PORT, an IPv6 address in brackets: [2001:db8::1]:443"
        raise ValueError(msg)
    return bare, int(port)


Peer = Annotated[str, AfterValidator(_peer)]


class PageRoute(Strict):
    """How a human is called: a command that gets the message as JSON on stdin, or a URL that it is POSTed to."""

    command: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="argv, run without a shell", examples=[["/usr/local/bin/page"]]
    )
    url: Url | None = Field(
        default=None,
        description="an address that the message is POSTed to as JSON",
        examples=["https://page.example/tfheal"],
    )

    _named: ClassVar[str] = "[page]"

    @model_validator(mode="after")
    def _one_route(self) -> Self:
        if (self.command is None) == (self.url is None):
            msg = f"{self._named} has either command or url"
            raise ValueError(msg)
        return self


class NoticeRoute(PageRoute):
    """How owners are told of planned work: a command that gets the message as JSON on stdin, or a URL that it is POSTed to."""

    _named: ClassVar[str] = "[notices]"


class PingRoute(Strict):
    """The dead-man switch that `tfheal tick` pings, in the manner of Healthchecks: URL/start, URL, URL/fail, URL/log."""

    url: Url | None = Field(default=None, description="its address", examples=["https://ping.example/UUID"])
    env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = Field(
        default=None, description="the environment variable that holds its address", examples=["TFHEAL_PING_URL"]
    )
    secret: Literal[True] | None = Field(
        default=None,
        description="its address is kept encrypted: `tfheal secret set tfheal ping_url`",
        examples=[True],
    )

    @model_validator(mode="after")
    def _one_source(self) -> "PingRoute":
        if [self.url, self.env, self.secret].count(None) != 2:  # noqa: PLR2004 (all but one)
            msg = "[ping] has one of url, env and secret"
            raise ValueError(msg)
        return self


class HealPolicy(Strict):
    """When healing acts and how often."""

    asks: int = Field(default=3, ge=1, le=10, description="failing asks in a row before it acts (Kubernetes: 3)")
    ask_every: Duration = Field(default=2.0, le=60, description="the time between these asks")
    budget: int = Field(default=2, ge=1, le=20, description="tries of one rung within `budget_window` (Nomad: 2)")
    budget_window: Duration = Field(
        default=1_800.0, ge=60, description="the time in which tries are counted (Nomad: 30 minutes)"
    )
    backoff: Duration = Field(default=10.0, description="before the second try; doubles, jittered (Kubernetes: 10 s)")
    backoff_limit: Duration = Field(default=300.0, description="the longest wait between tries (Kubernetes: 300 s)")
    healthy_for: Duration = Field(default=30.0, description="healthy this long: the incident is resolved")
    min_healthy_period: Duration = Field(
        default=3_600.0, description="ill again within: same incident (Cluster API: 1 h)"
    )
    chronic: int = Field(default=5, ge=2, description="heals of one instance in a day that call a human")
    gone_after: Duration = Field(
        default=300.0, description="silent this long, a slice is given up as gone (Kubernetes: 5 minutes)"
    )
    act_timeout: Duration = Field(
        default=1_800.0,
        ge=10,
        description="the longest that one action may take; then the slice ends it, or is given up",
    )
    disk_full_share: float = Field(default=0.95, gt=0.5, lt=1, description="used share of a disk that counts as full")


class SshPolicy(Strict):
    """How slices are connected to."""

    connections: int = Field(default=32, ge=1, le=256, description="how many slices that answer are asked at one time")
    starts: int = Field(default=16, ge=1, le=256, description="connections being started at one time")
    connect_timeout: Duration = Field(default=10.0, gt=0, description="how long a connection may take to come about")
    banner_timeout: Duration = Field(
        default=10.0, gt=0, description="how long the greeting and the exchange of keys may take after that"
    )
    login_timeout: Duration = Field(default=10.0, gt=0, description="how long a slice may take to answer to one key")
    patience: Duration = Field(
        default=20.0, description="how long a silent slice is tried: an overlay learns routes late"
    )
    silence: Duration = Field(
        default=30.0,
        ge=5,
        description="how long a slice at work may say nothing: it gives a sign of life every 2 s (TCP sees a dead line)",
    )
    round_timeout: Duration = Field(default=60.0, description="after which a round reports the rest as not checked")


class UplinkPolicy(Strict):
    """Whom to ask when much of the fleet looks down at once, before it is believed."""

    reference_peers: tuple[Peer, ...] = Field(
        default=(),
        description="machines of others, each taking connections on a TCP port; none: healing freezes without asking",
    )


class PatchPolicy(Strict):
    """When a patch is taken back, and what is done by itself where an app spec says nothing."""

    patience: Duration = Field(
        default=120.0, ge=1, description="how long apps may take to be well after a patch of their machine"
    )
    auto: AutoPatch = Field(default="none", description="what `tfheal tick` installs by itself")
    reboot: Reboots = Field(
        default="never",
        description="who may reboot a machine that an update asks to, if its owner allows that: nobody, "
        "`tfheal patch --reboot`, or `tfheal tick` too",
    )
    lists: Duration = Field(
        default=86_400.0, ge=60, description="how often `tfheal tick` fetches package lists where it installs updates"
    )
    kev: str = Field(
        default="",
        description="a file with CISA's catalogue of known exploited vulnerabilities, JSON or CSV: these come first",
    )
    reboot_every: Duration = Field(
        default=3_600.0,
        ge=120,
        description="how long a machine has to be up before it is rebooted (the platform deletes one that ends four times in two minutes)",
    )
    reboot_patience: Duration = Field(
        default=600.0,
        ge=10,
        description="how long a machine may take to answer after a reboot, until a human is called",
    )


class Provider(Strict):
    """The whole of `tfheal.toml`."""

    name: str = Field(default="", description="the provider's name, shown in what it writes on slices")
    page: PageRoute | None = Field(default=None, description="how a human is called")
    ping: PingRoute | None = Field(default=None, description="the dead-man switch of `tfheal tick`")
    notices: NoticeRoute | None = Field(
        default=None, description="how owners with a `contact` are told of planned work, before it and after it"
    )
    heal: HealPolicy = HealPolicy()
    ssh: SshPolicy = SshPolicy()
    uplink: UplinkPolicy = UplinkPolicy()
    window: Window | None = Field(
        default=None, description="when planned work may be done on apps that say nothing else"
    )
    patch: PatchPolicy = PatchPolicy()
    ask_index: bool = Field(
        default=True,
        description="whether `tfheal tick` asks the index that pip is set to here, once a day, for versions that no playbook lists",
    )
    names: dict[Name, NamesWay] = Field(default={}, description="how host names of apps are published")
    service_levels: dict[Name, ServiceLevel] = Field(
        default={}, description="what is promised of apps; `standard` is there without being written"
    )

    @property
    def levels(self) -> dict[str, ServiceLevel]:
        """Return every service level by name, the shipped one among them."""
        return {SHIPPED_LEVEL: ServiceLevel(), **self.service_levels}


@dataclass(frozen=True, slots=True)
class PlaybookFolder:
    """A playbook with the files beside it; contents by path relative to its folder."""

    playbook: Playbook
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Workspace:
    """Everything that the provider wrote, read and valid; playbooks by name, apps by name."""

    root: str
    provider: Provider
    inventory: Inventory
    apps: dict[str, AppSpec]
    playbooks: dict[str, PlaybookFolder]
    as_written: dict[str, AppSpec] = field(default_factory=dict)  # where `apps` tells where they were moved to
    joined: dict[str, PlaybookFolder] = field(default_factory=dict)  # by app: its playbook with what joins it

    def written(self, app: str) -> AppSpec:
        """Return the spec of an app as its file has it, wherever the app was moved since."""
        return self.as_written.get(app, self.apps[app])

    def window(self, app: str) -> Window | None:
        """Return when planned work may be done on an app, by its spec or else by tfheal.toml; None: at any time."""
        spec = self.apps.get(app)
        return (spec and spec.window) or self.provider.window

    def patched_by_itself(self, app: str) -> AutoPatch:
        """Return which updates of the machines under an app `tfheal tick` installs by itself."""
        return self.apps[app].patch.auto or self.provider.patch.auto

    def reboots(self, app: str) -> Reboots:
        """Return who may reboot the machines under an app, as far as the provider says."""
        return self.apps[app].patch.reboot or self.provider.patch.reboot

    def folder(self, app: str) -> PlaybookFolder:
        """Return the playbook of an app, with what joins it: its store, if it has one."""
        return self.joined.get(app) or self.playbooks[self.apps[app].playbook]
