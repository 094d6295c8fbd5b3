"""`tfheal backup`: backups are made, listed and looked into; the owner gets a key."""

from typing import Annotated

import typer

from tfheal.cli.options import Except, Folder, Json, Quiet, Selectors

backup_app = typer.Typer(help="Backups of the apps whose specs say where they go.", no_args_is_help=True)

BackupId = Annotated[str, typer.Argument(metavar="BACKUP", help="Its id, or the beginning of it.")]


@backup_app.command()
def run(
    selectors: Selectors = None,
    excluded: Except = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read every file again, also those that look as they did the last time.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Make a backup of each app: encrypted on its slices, and only what is new goes to the store."""
    from tfheal.base.exits import winning
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected
    from tfheal.flows import backup as flow
    from tfheal.render.backup import made_document, made_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, selectors or (), excluded or ())
        apps = flow.with_backups(hands.workspace, names, named=bool(selectors))
        results = flow.backup(hands.workspace, apps, hands.ports, hands.limits, full=full)
        code = int(winning(result.exit for result in results))
        document = made_document(results, hands.trips.total)
        output.give("backup-run", document, lambda _: made_words(results), as_json=json, code=code)
    return code


@backup_app.command()
def drill(
    selectors: Selectors = None,
    excluded: Except = None,
    lab: Annotated[
        bool, typer.Option("--lab", help="On a free slice of a lab, where the owner's charter lets data leave.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Restore the newest good backup of each app for practice, beside what is live: started, asked, and thrown away."""
    from tfheal.base.exits import winning
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected
    from tfheal.flows import drill as flow
    from tfheal.flows.backup import with_backups
    from tfheal.render.drill import drilled_document, drilled_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, selectors or (), excluded or ())
        apps = with_backups(hands.workspace, names, named=bool(selectors))
        results = flow.drill(hands.workspace, apps, hands.ports, hands.limits, lab=lab)
        code = int(winning(result.exit for result in results))
        document = drilled_document(results, hands.trips.total)
        output.give("backup-drill", document, lambda _: drilled_words(results), as_json=json, code=code)
    return code


@backup_app.command(name="list")
def list_(
    selectors: Selectors = None,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Show the backups that there are, the newest first, and which of them the rules would keep."""
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected
    from tfheal.flows import backup as flow
    from tfheal.render.backup import listed_document, listed_words

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow.listed(hands.workspace, selected(hands.workspace, selectors or ()), hands.ports)
        now = hands.ports.clock.now()
        output.give("backup-list", listed_document(found), lambda _: listed_words(found, now), as_json=json, code=0)


@backup_app.command()
def show(backup: BackupId, json: Json = False, workspace: Folder = None) -> None:
    """Show what one backup consists of."""
    from tfheal.cli import output, wiring
    from tfheal.flows import backup as flow
    from tfheal.render.backup import backup_document, backup_words

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow.one(backup, hands.ports)
        output.give("backup-show", backup_document(found), lambda _: backup_words(found), as_json=json, code=0)


@backup_app.command()
def ls(
    backup: BackupId,
    path: Annotated[str, typer.Argument(metavar="[PATH]", help="A folder in it; none: everything.")] = "/",
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """List the files that a backup holds."""
    from tfheal.cli import output, wiring
    from tfheal.flows import backup as flow
    from tfheal.render.backup import entries_document, entries_words

    with wiring.wired(workspace, quiet=json) as hands:
        found = flow.one(backup, hands.ports)
        entries = flow.entries(hands.workspace, found, path, hands.ports, hands.limits)
        document = entries_document(found, path, entries)
        output.give("backup-ls", document, lambda _: entries_words(entries), as_json=json, code=0)


@backup_app.command()
def verify(
    selectors: Selectors = None,
    full: Annotated[bool, typer.Option("--full", help="Read all that is stored, not a seventh of it.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Bring what is damaged again: from its copy, from what is live.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Read what is stored, on the store: the structure, and a share of the payload that goes around."""
    from tfheal.base.exits import winning
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected
    from tfheal.flows import backup
    from tfheal.flows import repair as mending
    from tfheal.flows import verify as flow
    from tfheal.render.verification import verified_document, verified_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, selectors or ())
        apps = backup.with_backups(hands.workspace, names, named=bool(selectors))
        if repair:
            results = mending.repair(hands.workspace, apps, hands.ports, hands.limits)
        else:
            results = flow.verify(hands.workspace, apps, hands.ports, full=full)
        code = int(winning(result.exit for result in results))
        document = verified_document(results, hands.trips.total)
        output.give("backup-verify", document, lambda _: verified_words(results), as_json=json, code=code)
    return code


@backup_app.command()
def hold(
    backup: BackupId,
    release: Annotated[bool, typer.Option("--release", help="The rules decide again.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Keep a backup whatever the rules say."""
    from tfheal.cli import output, wiring
    from tfheal.flows import keeping as flow
    from tfheal.render.backup import backup_document, backup_words

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow.hold(hands.workspace, backup, hands.ports, release=release)
        output.give("backup-hold", backup_document(found), lambda _: backup_words(found), as_json=json, code=0)


@backup_app.command()
def accept(backup: BackupId, json: Json = False, workspace: Folder = None) -> None:
    """Call what a suspect backup holds the new normal: it counts as good."""
    from tfheal.cli import output, wiring
    from tfheal.flows import keeping as flow
    from tfheal.render.backup import backup_document, backup_words

    with wiring.wired(workspace, quiet=True) as hands:
        found = flow.accept(hands.workspace, backup, hands.ports)
        output.give("backup-accept", backup_document(found), lambda _: backup_words(found), as_json=json, code=0)


@backup_app.command()
def prune(
    selectors: Selectors = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Delete, on the store, the backups that no rule keeps any more; never where what is stored is damaged."""
    from tfheal.cli import asking, output, wiring
    from tfheal.core.select import selected
    from tfheal.flows import backup
    from tfheal.flows import prune as flow
    from tfheal.render import prune as words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, selectors or ())
        apps = backup.with_backups(hands.workspace, names, named=bool(selectors))
        results = flow.planned(hands.workspace, apps, hands.ports)
        told = words.planned_words(results)
        if not plan:
            asking.agreed(f"{told}\ndelete what may go?", yes=yes or not flow.code(results))
            results = flow.prune(hands.workspace, apps, hands.ports)
        document, code = words.pruned_document(results, hands.trips.total), flow.code(results)
        output.give("backup-prune", document, lambda _: words.pruned_words(results, plan=plan), as_json=json, code=code)
    return code


@backup_app.command()
def forget(
    backup: BackupId,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; it goes into the owner's journal too.")],
    yes: Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> None:
    """Erase a backup for its owner: from now on it is not used, and the next prune deletes what only it holds."""
    from tfheal.cli import asking, output, wiring
    from tfheal.flows import prune as flow
    from tfheal.flows.backup import one
    from tfheal.render.backup import backup_document, backup_words

    with wiring.wired(workspace, quiet=json) as hands:
        asking.agreed(f"erase {one(backup, hands.ports).id}? it does not come back", yes=yes)
        found = flow.forget(hands.workspace, backup, why, hands.ports)
        output.give("backup-forget", backup_document(found), lambda _: backup_words(found), as_json=json, code=0)


@backup_app.command()
def owner_key(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    new: Annotated[bool, typer.Option("--new", help="Another key; the former one opens nothing any more.")] = False,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Make the owner's key to the backups of an app, and print it once, on a sheet that says how to use it."""
    from tfheal.cli import output, wiring
    from tfheal.flows import owner_key as flow
    from tfheal.render.backup import handover_document, handover_hint

    with wiring.wired(workspace, quiet=json) as hands:
        made = flow.owner_key(hands.workspace, app, hands.ports, new=new)
        hands.ports.reporter.say(handover_hint(made))
        code = int(made.exit)
        output.tell("backup-owner-key", handover_document(made), made.sheet.rstrip(), as_json=json, code=code)
    return code


@backup_app.command()
def rescan(
    selectors: Selectors = None,
    json: Json = False,
    quiet: Quiet = False,
    workspace: Folder = None,
) -> int:
    """Read the catalogue that lies beside the repositories, and find the snapshots that nobody knows."""
    from tfheal.base.exits import winning
    from tfheal.cli import output, wiring
    from tfheal.core.select import selected
    from tfheal.flows import ledger as flow
    from tfheal.flows.backup import with_backups
    from tfheal.render.backup import rescanned_document, rescanned_words

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        names = selected(hands.workspace, selectors or ())
        results = flow.rescan(hands.workspace, with_backups(hands.workspace, names, named=bool(selectors)), hands.ports)
        code = int(winning(result.exit for result in results))
        document = rescanned_document(results)
        output.give("backup-rescan", document, lambda _: rescanned_words(results), as_json=json, code=code)
    return code


@backup_app.command()
def revoke_provider(
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Say how the owner shuts us out of the backups; once that is done, prove it and delete our secrets."""
    from tfheal.cli import output, wiring
    from tfheal.flows import revoke as flow
    from tfheal.render.backup import revoked_document, revoked_words

    with wiring.wired(workspace, quiet=json) as hands:
        made = flow.revoke_provider(hands.workspace, app, hands.ports)
        code = int(made.exit)
        output.tell("backup-revoke-provider", revoked_document(made), revoked_words(made), as_json=json, code=code)
    return code
