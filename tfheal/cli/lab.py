"""`tfheal lab`: throwaway slices on this machine, and the faults that can be put into them."""

from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json

lab_app = typer.Typer(
    help="Throwaway slices on this machine, to try things out and to break them.", no_args_is_help=True
)

Name = Annotated[str | None, typer.Option("--name", help="Which lab (default: that of the workspace, else lab).")]
SliceName = Annotated[str, typer.Argument(metavar="SLICE", help="A slice of the lab: s1, s2, …")]


@lab_app.command()
def up(
    slices: Annotated[int | None, typer.Option(help="How many (default: those that are there, else 3).")] = None,
    name: Name = None,
    memory: Annotated[str, typer.Option(help="Memory of each new slice.")] = "1G",
    disk: Annotated[str, typer.Option(help="Disk of each new slice.")] = "2G",
    containers: Annotated[
        bool, typer.Option("--containers", help="Let each new slice run containers; its root is then nearly root here.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Install missing host packages without asking.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Make slices, and start those that are off; what is there stays."""
    from tfheal.cli import lab_wiring, output
    from tfheal.flows import lab as flow
    from tfheal.model.lab import LabSpec
    from tfheal.render import lab as words

    wired = lab_wiring.lab(workspace, yes=yes)
    spec = LabSpec(
        lab_wiring.name_of_lab(name, workspace),
        wired.workspace,
        slices,
        flow.size("--memory", memory),
        flow.size("--disk", disk),
        containers,
    )
    made = flow.up(spec, wired.inventory, wired.cpus, wired.ports)
    output.give("lab-up", words.lab_document(made), lambda width: words.labs_words([made], width), as_json=json, code=0)


@lab_app.command()
def down(
    name: Name = None,
    cache: Annotated[bool, typer.Option("--cache", help="Remove the cached base image too.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Take a lab down; nothing of it stays on this machine but the cached base image."""
    from tfheal.cli import lab_wiring, output
    from tfheal.flows import lab as flow

    lab = lab_wiring.name_of_lab(name, workspace)
    wired = lab_wiring.lab(workspace, of=lab)
    there = flow.down(lab, wired.inventory, wired.ports, cache=cache)
    said = f"lab {lab} is gone" if there else f"there is no lab {lab}"
    output.tell("lab-down", {"lab": lab, "was_there": there}, said, as_json=json)


@lab_app.command(name="list")
def list_(json: Json = False) -> None:
    """Show the labs of this machine, their slices and what is broken on them."""
    from tfheal.cli import lab_wiring, output
    from tfheal.render import lab as words

    labs = lab_wiring.lab_hands().host.labs()
    document = {"labs": [words.lab_document(lab) for lab in labs]}
    output.give("lab-list", document, lambda width: words.labs_words(labs, width), as_json=json, code=0)


@lab_app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    name_of_slice: SliceName,
    command: Annotated[list[str] | None, typer.Argument(help="What to run there; nothing: a shell.")] = None,
    name: Name = None,
    workspace: Folder = None,
) -> None:
    """Log in to a slice of the lab, or run a command there; its exit code becomes ours."""
    from tfheal.cli import lab_wiring, wiring
    from tfheal.flows import lab as flow
    from tfheal.flows import slices

    root, inventory = wiring.inventory(workspace)
    target = flow.listed(lab_wiring.name_of_lab(name, workspace), name_of_slice, inventory)
    words = slices.ssh_command(target, wiring.login(root, target), tuple(command or ()), wiring.host_keys(root))
    wiring.become(words)


@lab_app.command()
def recreate(name_of_slice: SliceName, name: Name = None, json: Json = False, workspace: Folder = None) -> None:
    """Throw a slice's disk away and boot it anew; its new host key is pinned and printed."""
    from tfheal.cli import lab_wiring, output
    from tfheal.flows import lab as flow
    from tfheal.render import lab as words

    lab = lab_wiring.name_of_lab(name, workspace)
    wired = lab_wiring.lab(workspace, of=lab)
    made = flow.recreate(lab, name_of_slice, wired.cpus, wired.ports)
    output.tell("lab-recreate", words.slice_document(made), f"host_key {made.fingerprint}", as_json=json)


@lab_app.command(name="break")
def break_(
    name_of_slice: SliceName,
    fault: Annotated[str, typer.Argument(help="What to do to it; tfheal lab faults lists what there is.")],
    app: Annotated[
        str | None, typer.Option(help="Whose instance: APP, or APP/COMPONENT if it has several there.")
    ] = None,
    name: Name = None,
    json: Json = False,
) -> None:
    """Put a fault into a slice, and prove that it landed."""
    from tfheal.cli import lab_wiring, output
    from tfheal.flows import lab as flow
    from tfheal.render import lab as words

    done = flow.put_fault(lab_wiring.name_of_lab(name), name_of_slice, fault, app, lab_wiring.lab_hands())
    output.tell("lab-break", words.report_document(done), words.reports([done]), as_json=json)


@lab_app.command()
def mend(
    name_of_slice: SliceName,
    fault: Annotated[str | None, typer.Argument(help="Which fault; none named: all.")] = None,
    name: Name = None,
    json: Json = False,
) -> None:
    """Take a fault away, or all faults of a slice."""
    from tfheal.cli import lab_wiring, output
    from tfheal.flows import lab as flow
    from tfheal.render import lab as words

    done = flow.mend(lab_wiring.name_of_lab(name), name_of_slice, fault, lab_wiring.lab_hands())
    output.tell("lab-mend", {"mended": [words.report_document(one) for one in done]}, words.reports(done), as_json=json)


@lab_app.command()
def faults(json: Json = False) -> None:
    """List the faults that can be put into a slice, how each is proven and mended."""
    from tfheal.cli import lab_wiring, output
    from tfheal.render import lab as words

    kinds = lab_wiring.lab_hands().faults.kinds()
    document = {"faults": [words.fault_document(kind) for kind in kinds]}
    output.tell("lab-faults", document, words.faults_table(kinds), as_json=json)
