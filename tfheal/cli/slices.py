"""`tfheal slice` and `tfheal ssh`: the machines of the inventory, whom they are trusted to be, and a way into them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfheal.cli.options import Folder, Json

if TYPE_CHECKING:
    from collections.abc import Mapping

slice_app = typer.Typer(help="The machines of your customers.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="SLICE", help="Its name in the inventory.", show_default=False)]
Told = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        metavar="SHA256:…",
        help="The fingerprint of the host key that its owner told you; then nothing is asked.",
        show_default=False,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Trust the host key that it shows now, without asking.")]


@slice_app.command()
def add(
    name: Name,
    address: Annotated[str, typer.Argument(help="IPv6 (Mycelium) without brackets, IPv4, or a name.")],
    owner: Annotated[str, typer.Option(help="Whose it is; an owner who is not there yet is added.")],
    contact: Annotated[str, typer.Option(help="Whom to write to, for a new owner.", show_default=False)] = "",
    port: Annotated[int | None, typer.Option(help="Default: ~/.ssh/config, else 22.", show_default=False)] = None,
    user: Annotated[str | None, typer.Option(help="Default: ~/.ssh/config, else root.", show_default=False)] = None,
    key: Annotated[str | None, typer.Option(help="Private key file.", show_default=False)] = None,
    proxy_jump: Annotated[str | None, typer.Option(help="A host to go through: user@host:port.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="A word for selectors.")] = None,
    fingerprint: Told = None,
    yes: Yes = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Look at a machine once, pin its host key, and list it; what cannot be managed is refused with the reason."""
    from tfheal.cli import output, wiring
    from tfheal.flows import slices as flow
    from tfheal.model.slices import Wanted
    from tfheal.render import slices as words

    with wiring.slices(workspace, yes=yes) as wired:
        entry = {
            "owner": owner,
            "address": address,
            "port": port,
            "user": user,
            "key": _key(key, wired.root),
            "proxy_jump": proxy_jump,
            "labels": _labels(label or []) or None,
        }
        wanted = Wanted(name, owner, contact, _said(entry), fingerprint)
        added = flow.add(wanted, wired.inventory, wired.ports)
    output.tell("slice-add", words.added_document(added), words.added_lines(added), as_json=json)


@slice_app.command(name="list")
def list_(json: Json = False, workspace: Folder = None) -> None:
    """Show the slices of the inventory and the host keys that are pinned for them."""
    from tfheal.cli import output, wiring
    from tfheal.render import slices as words

    root, inventory = wiring.inventory(workspace)
    keys = wiring.host_keys(root)
    if json:
        output.tell_json("slice-list", words.slices_document(inventory, keys.pinned), 0)
    else:
        output.show(words.slices_table(inventory, keys.pinned))


@slice_app.command()
def trust(name: Name, fingerprint: Told = None, yes: Yes = False, json: Json = False, workspace: Folder = None) -> None:
    """Pin the host key that a slice shows now, after you compared its fingerprint with the one its owner told you."""
    from tfheal.cli import output, wiring
    from tfheal.flows import slices as flow
    from tfheal.render import slices as words

    with wiring.slices(workspace, yes=yes) as wired:
        trusted = flow.trust(name, fingerprint, wired.inventory, wired.ports)
    output.tell("slice-trust", words.trusted_document(trusted), words.trusted_line(trusted), as_json=json)


@slice_app.command()
def forget(name: Name, json: Json = False, workspace: Folder = None) -> None:
    """Take a slice out of the inventory and its host key out of known_hosts; nothing is done to the machine."""
    from tfheal.cli import output, wiring
    from tfheal.flows import slices as flow
    from tfheal.flows.place import effective

    root = wiring.find_workspace(workspace)
    with wiring.journal(root) as journal:
        placed = effective(wiring.load(root), journal)
    flow.forget(name, placed, wiring.book(root), wiring.host_keys(root))
    output.tell("slice-forget", {"slice": name}, f"{name} is forgotten; the machine was not touched", as_json=json)


def ssh(
    name: Name,
    command: Annotated[list[str] | None, typer.Argument(help="What to run there; nothing: a shell.")] = None,
    workspace: Folder = None,
) -> None:
    """Log in to a slice with its pinned key, or run a command there (after --); its exit code becomes ours."""
    from tfheal.cli import wiring
    from tfheal.flows import slices as flow

    root, inventory = wiring.inventory(workspace)
    target = flow.listed(name, inventory)
    words = flow.ssh_command(target, wiring.login(root, target), tuple(command or ()), wiring.host_keys(root))
    wiring.become(words)


def _labels(written: list[str]) -> dict[str, str]:
    """Given words `key=value`, return them; raise UsageError for one that is none."""
    from tfheal.base.errors import UsageError

    if odd := [word for word in written if "=" not in word]:
        raise UsageError(f"--label {odd[0]} is not a label", hint="write it KEY=VALUE")
    return dict(word.split("=", 1) for word in written)


def _key(written: str | None, root: Path) -> str | None:
    """Given a key file as seen from here, return it as the inventory writes it: from the workspace, if it is in there; raise UsageError if it is none."""
    if written is None or written.startswith("~"):
        return written
    from tfheal.base.errors import UsageError

    path = Path(written).absolute()
    if not path.is_file():
        raise UsageError("there is no such key file", where="--key", why=written, hint="it is the private key")
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _said(entry: "Mapping[str, object]") -> "Mapping[str, object]":
    """Return an entry without what was not said."""
    return {key: value for key, value in entry.items() if value is not None}
