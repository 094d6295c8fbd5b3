"""Commands on the files of a workspace: made, checked, described to editors and to people."""

from pathlib import Path
from typing import Annotated

import typer

from tfheal.cli.options import Folder, Json


def init(
    folder: Annotated[Path, typer.Argument(help="The folder; it need not exist yet.")] = Path(),
    json: Json = False,
) -> None:
    """Make a workspace: the files that tfheal works from. Nothing is ever overwritten."""
    from tfheal.cli import output, wiring
    from tfheal.flows import workspace as flow
    from tfheal.render import workspace as words

    started = flow.init(wiring.new_folder(folder))
    key = wiring.age_key()
    document = words.init_document(str(folder.resolve()), started.made, started.kept, str(key))
    output.tell("init", document, words.init_words(document), as_json=json)


def validate(json: Json = False, workspace: Folder = None) -> None:
    """Check every file of the workspace, and tell all mistakes at once; nothing is connected to."""
    from tfheal.cli import output, wiring
    from tfheal.flows import workspace as flow
    from tfheal.render import workspace as words

    root = wiring.find_workspace(workspace)
    checked = flow.validate(lambda: wiring.load(root), wiring.templates())
    output.tell("validate", words.validate_document(checked), words.validate_words(checked), as_json=json)


def schema(
    file: Annotated[str, typer.Argument(metavar="app|playbook|inventory|workspace", help="Which kind of file.")],
) -> None:
    """Print the JSON Schema of a kind of file, by which editors complete and check."""
    import json

    from tfheal.base.errors import UsageError
    from tfheal.core.mistakes import nearest
    from tfheal.core.schema import FILES
    from tfheal.core.schema import schema as made

    if file not in FILES:
        raise UsageError(f"there is no file of the kind {file}", hint=nearest(file, FILES, "kinds:"))
    typer.echo(json.dumps(made(file), indent=2, ensure_ascii=False))


def explain(
    topic: Annotated[str | None, typer.Argument(help="What to explain; none lists the topics.")] = None,
) -> None:
    """Print a page of the manual."""
    from tfheal.core.manual import explained

    typer.echo(explained(topic))
