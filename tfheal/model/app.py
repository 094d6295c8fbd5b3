"""`apps/NAME.yaml`: one playbook deployed for one owner."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tfheal.model.backup import AppBackup
from tfheal.model.names import Duration, Name, Strict
from tfheal.model.playbook import Permission, Setting, SettingName
from tfheal.model.window import Window

Hostname = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$", max_length=253
    ),
]


AutoPatch = Literal["security", "none"]
Reboots = Literal["never", "by-hand", "auto"]


class AppHeal(Strict):
    """What healing may do with this app."""

    allow: tuple[Permission, ...] = Field(
        default=("restart", "free-disk", "redeploy", "rollback", "rebuild", "page"),
        description="the rungs that healing may use, all others only page; and `restore-logical`, a restore of data that is not right",
    )
    reflex: Literal["on", "off"] = Field(
        default="on", description="whether its slice may restart it by itself while we are away"
    )


class AppPatch(Strict):
    """How the machines under this app are patched."""

    defer: Duration = Field(
        default=604_800.0, description="how long a security update waits for the window at most, since its slice saw it"
    )
    auto: AutoPatch | None = Field(
        default=None, description="what `tfheal tick` installs by itself; not said: what tfheal.toml says"
    )
    reboot: Reboots | None = Field(
        default=None,
        description="who may reboot a machine under it, if its owner allows that; not said: what tfheal.toml says",
    )


class AutoUpgrade(Strict):
    """Which versions of its playbook `tfheal tick` brings an app to by itself."""

    channel: Literal["patch", "minor", "none"] = Field(
        default="none",
        description="patch: of the same major and minor number; minor: of the same major number; none: none",
    )
    cooldown: Duration = Field(
        default=604_800.0, description="for how long this workspace's ticks have to have seen a version listed"
    )


Ring = Literal["canary", "early", "rest"]


class AppRoute(Strict):
    """Through which gateway an app is reached by its host name."""

    gateway: Name = Field(description="an app of the same owner, of the playbook `gateway`")


class AppSpec(Strict):
    """One app: which playbook and version, for whom, on which slices, with which settings."""

    app: Name = Field(description="its name, as the file is named")
    owner: Name = Field(description="whose app it is: a name from [owners]")
    playbook: Name = Field(description="a folder in playbooks/, or a playbook that comes with tfheal")
    version: str = Field(description="a version that the playbook lists")
    hostname: Hostname | None = Field(default=None, description="the name that people reach it by")
    names: Name | None = Field(
        default=None, description="by which way of [names] its hostname is published, at the addresses where it answers"
    )
    place: dict[Name, tuple[Name, ...]] = Field(min_length=1, description="component: [slices]")
    spares: tuple[Name, ...] = Field(default=(), description="slices of the same owner that are kept free for this app")
    settings: dict[SettingName, Setting] = Field(default_factory=dict, description="what the playbook lets you set")
    heal: AppHeal = AppHeal()
    route: AppRoute | None = Field(default=None, description="the gateway that leads its host name to it")
    service_level: Name = Field(default="standard", description="what is promised: a name from [service_levels]")
    backup: AppBackup | None = Field(default=None, description="where backups of its data go, and how often")
    patch: AppPatch = AppPatch()
    auto_upgrade: AutoUpgrade = AutoUpgrade()
    ring: Ring = Field(
        default="rest", description="in which wave of an upgrade over many apps it is: those of `canary` go first"
    )
    window: Window | None = Field(
        default=None, description="when planned work may be done; none: that of tfheal.toml, else at any time"
    )
