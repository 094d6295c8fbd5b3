"""Resources: the pieces of desired state that a playbook declares, one class a kind.

As written, text fields may hold templates (`{{ settings.port }}`); in a release they are rendered, `template` and
`binary` of a file have become its content, and a secret is still a token that only the compiler fills in.
"""

import posixpath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from tfheal.model.names import Duration, Mode, Size, Strict

Text = Annotated[str, StringConstraints(min_length=1)]
SlicePath = Annotated[str, StringConstraints(pattern=r"^(/|\{\{).*")]
PackageName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]*(\{\{[^{}]*\}\}[a-z0-9+.-]*)?(=[A-Za-z0-9.+:~-]+)?$")
]
OWN_UNIT = "{{ unit_stem }}"  # of what is the component's own service, whatever runs it
Base64 = Annotated[str, StringConstraints(max_length=14_000_000)]  # a file beside a playbook has 10 MB at most
OnChange = Literal["restart", "reload", "nothing"]


def _is_nologin(shell: str) -> bool:
    """Return whether a user's shell may stay out of what is hashed: a release made before keeps its id."""
    return shell == "/usr/sbin/nologin"


class Packages(Strict):
    """Debian packages, installed and never purged."""

    kind: Literal["packages"]
    names: tuple[PackageName, ...] = Field(min_length=1, description="package names; `name=version` pins one")


class Directory(Strict):
    """A directory with its owner and mode."""

    kind: Literal["directory"]
    path: SlicePath = Field(description="where it is on the slice")
    mode: Mode = Field(default="0755", description="who may read, write and enter it")
    owner: Text = Field(default="root", description="the user that owns it")
    group: Text = Field(default="root", description="the group that owns it")
    data: bool = Field(default=False, description="holds the owner's data: kept by `remove` unless --data")


class File(Strict):
    """A file with content, replaced in one step."""

    kind: Literal["file"]
    path: SlicePath = Field(description="where it is on the slice")
    content: str | None = Field(default=None, description="the content itself")
    template: Text | None = Field(default=None, description="a template beside the playbook")
    binary: Text | None = Field(default=None, description="a file beside the playbook, copied as it is")
    base64: Base64 | None = Field(default=None, description="the content of `binary`, filled in when a release is made")
    mode: Mode = Field(default="0644", description="who may read and write it")
    owner: Text = Field(default="root", description="the user that owns it")
    group: Text = Field(default="root", description="the group that owns it")
    on_change: OnChange = Field(default="restart", description="what the service does when this file changed")
    test: Text | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="POSIX sh, run as root before the file takes its place; it is $new until then, and what fails never gets there",
    )

    @model_validator(mode="after")
    def _one_source(self) -> "File":
        sources = [self.content, self.template, self.binary, self.base64]
        if sum(source is not None for source in sources) != 1:
            msg = "a file has exactly one of content, template and binary"
            raise ValueError(msg)
        return self


class User(Strict):
    """A system user that nobody logs in as."""

    kind: Literal["user"]
    name: Text = Field(description="the user's name")
    home: SlicePath = Field(default="/nonexistent", description="the home folder, which is not made")
    groups: tuple[Text, ...] = Field(default=(), description="further groups that it is in")
    login_shell: Literal["/usr/sbin/nologin", "/bin/sh"] = Field(
        default="/usr/sbin/nologin",
        description="/bin/sh for one that SSH keys with a command of their own run as",
        exclude_if=_is_nologin,
    )


class Unit(Strict):
    """A systemd service or timer, with its text; hardened where it is built from a `service`."""

    kind: Literal["unit"]
    name: Text = Field(description="its name with its ending: backup.timer")
    content: str = Field(description="the text of the unit")
    enabled: bool = Field(default=True, description="whether it starts with the machine")
    running: bool = Field(default=True, description="whether it runs now")


class Venv(Strict):
    """A Python environment of exact versions and hashes, in an immutable release directory under `home`/releases."""

    kind: Literal["venv"]
    home: SlicePath = Field(default="{{ home }}", description="holds `releases/` and the link `current`")
    lock: Text = Field(default="{{ lock }}", description="requirements with hashes, as pip wants them")
    python: Text = Field(default="python3", description="the Python that makes it")
    keep: int = Field(default=3, ge=1, le=20, description="how many releases stay for a way back")


class Npm(Strict):
    """A tree of npm's packages with their hashes, no script of theirs run, in an immutable release directory under `home`/releases."""

    kind: Literal["npm"]
    home: SlicePath = Field(default="{{ home }}", description="holds `releases/` and the link `current`")
    lock: Text = Field(default="{{ lock }}", description="a package-lock.json; development packages are left out")
    keep: int = Field(default=3, ge=1, le=20, description="how many releases stay for a way back")


class Part(Strict):
    """One archive, which the slice fetches: tar (plain, gz, xz, zst, bz2) or zip."""

    url: Text = Field(description="where it is; for npm's own registry, the one stands that the slice is set to use")
    sha256: Text = Field(description="its hash, in 64 hexadecimal digits; compared before anything is unpacked")
    strip: int = Field(default=0, ge=0, le=9, description="how many leading folders are taken off the names in it")
    folder: str = Field(default="", description="the folder in it of which the content is taken; none means all")
    into: str = Field(default="", description="where that goes in the release directory; none means its top")


class Archive(Strict):
    """Archives with their hashes, unpacked together into an immutable release directory under `home`/releases."""

    kind: Literal["archive"]
    home: SlicePath = Field(default="{{ home }}", description="holds `releases/` and the link `current`")
    parts: tuple[Part, ...] = Field(min_length=1, description="the archives, in the order in which they are unpacked")
    keep: int = Field(default=3, ge=1, le=20, description="how many releases stay for a way back")


class Allow(Strict):
    """One opening of a firewall."""

    port: int | Text = Field(description="the port that is opened")
    protocol: Literal["tcp", "udp"] = Field(default="tcp", description="tcp or udp")
    peers: tuple[Text, ...] = Field(default=(), description="addresses or networks; none means everybody")


class Firewall(Strict):
    """An nftables table of the instance: the named ports are open to the named peers and to nobody else."""

    kind: Literal["firewall"]
    name: Text = Field(default="{{ unit_stem }}", description="the table's name")
    allow: tuple[Allow, ...] = Field(
        min_length=1, description="the ports that are opened; other ports are left as they are"
    )


class Postgres(Strict):
    """A role of PostgreSQL and its database, which the named peers reach over TLS with the password, and nobody else."""

    kind: Literal["postgres"]
    database: Text = Field(description="the database, in UTF-8; it holds data: kept by `remove` unless --data")
    role: Text = Field(description="the role that owns the database")
    password: Text = Field(description="the role's password, a secret: {{ secrets.NAME }}")
    peers: tuple[Text, ...] = Field(default=(), description="addresses or networks; none means the slice alone")
    cluster: Annotated[str, StringConstraints(pattern=r"^([0-9]{2}|[0-9]?\{\{[^{}]*\}\})/[a-z][a-z0-9_]{0,30}$")] = (
        Field(
            default="17/main",
            description="the cluster of Debian's that it is in, 15 or newer; where a version of the playbook names a newer one, an upgrade moves the data there",
        )
    )
    archive_command: Text | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="what its server runs for each segment of its write-ahead log; a dump with `wal` brings its own",
    )


class Container(Strict):
    """A container and its image, run by systemd through Podman's Quadlet, on the network of the slice itself."""

    kind: Literal["container"]
    name: Text = Field(default=OWN_UNIT, description="its name; its unit is NAME.service")
    image: Text | None = Field(
        default=None, description="the image by its digest, which the slice fetches: NAME@sha256:…"
    )
    binary: Text | None = Field(
        default=None, description="in place of `image`: a file beside the playbook, as `podman save` writes it"
    )
    template: Text | None = Field(
        default=None, description="in place of `image`: a Containerfile beside the playbook, built on the slice"
    )
    content: str | None = Field(default=None, description="in place of `image`: the Containerfile itself")
    base64: Base64 | None = Field(default=None, description="the content of `binary`, filled in when a release is made")
    context: SlicePath = Field(default="{{ current }}", description="the folder that a Containerfile copies from")
    exec: Text | None = Field(default=None, description="the command line in the container, if not the image's own")
    user: Text | None = Field(
        default=None, description="a user of the image, or a number; none: root, without its powers"
    )
    environment: dict[str, str] = Field(default_factory=dict, description="no secrets here: it can be read by others")
    volumes: dict[Text, SlicePath] = Field(
        default_factory=dict,
        description="places in the container, with :ro to only read, and what of the slice is there",
    )
    ports_below_1024: bool = Field(default=False, description="whether it may listen on them")
    memory: Size | None = Field(default=None, description="MemoryMax=")
    tasks: int | None = Field(default=None, ge=1, description="TasksMax=")
    stop_timeout: Duration = Field(default=10.0, gt=0, description="how long a stop may take")
    start_timeout: Duration = Field(default=60.0, gt=0, description="how long a start may take until `alive` passes")

    @model_validator(mode="after")
    def _one_source(self) -> "Container":
        sources = [self.image, self.binary, self.base64, self.template, self.content]
        if sum(source is not None for source in sources) != 1:
            msg = "a container has exactly one of image, binary, template and content"
            raise ValueError(msg)
        return self


class Command(Strict):
    """A command with a guard that says when it is already done."""

    kind: Literal["command"]
    name: Text = Field(description="what it does, in a few words")
    run: Text = Field(description="POSIX sh")
    done: Text = Field(description="POSIX sh that exits 0 when there is nothing to do")
    undo: Text | None = Field(default=None, description="POSIX sh that `remove` runs")
    timeout: Duration = Field(default=300.0, gt=0, description="how long it may take")


Resource = Annotated[
    Packages | Directory | File | User | Unit | Venv | Npm | Archive | Container | Firewall | Postgres | Command,
    Field(discriminator="kind"),
]


def resource_id(resource: Resource) -> str:
    """Return the name of a resource within its instance, the same from one release to the next."""
    match resource:
        case Packages():
            return "packages:" + ",".join(name.partition("=")[0] for name in resource.names)
        case Directory() | File():
            return f"{resource.kind}:{resource.path}"
        case Venv() | Npm() | Archive():
            return f"{resource.kind}:{resource.home}"
        case Postgres():
            return f"postgres:{resource.database}"
        case User() | Unit() | Container() | Firewall() | Command():
            return f"{resource.kind}:{resource.name}"


def occupied(resource: Resource) -> str:
    """Return what a resource has for itself in its instance: its tree's home, its path, or else its name."""
    match resource:
        case Venv() | Npm() | Archive():
            return f"the home {posixpath.normpath(resource.home)}"
        case Directory() | File():
            return f"the path {posixpath.normpath(resource.path)}"
        case _:
            return resource_id(resource)
