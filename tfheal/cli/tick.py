"""`tfheal tick`: for a timer; does what is due, and tells a dead-man switch."""

from tfheal.cli.options import Deadline, Folder, Json, Quiet, ending


def tick(
    deadline: Deadline = None,
    quiet: Quiet = False,
    json: Json = False,
    workspace: Folder = None,
) -> int:
    """Do what is due: heal, back up, upgrade what may be. Never asks; no two overlap; pings by [ping]."""
    from tfheal.base.errors import Bug
    from tfheal.cli import output, wiring
    from tfheal.flows import tick as flow
    from tfheal.flows import windows
    from tfheal.render.tick import is_worth_telling, tick_document, tick_words

    def reported(error: Exception) -> Bug:
        return output.bug_report(error, wiring.known_secrets(workspace))

    with wiring.wired(workspace, quiet=quiet or json) as hands:
        waiting = windows.waiting(hands.workspace, hands.ports)
        jobs = flow.due(hands.workspace, hands.ports, ending(hands.limits, deadline))
        done = flow.tick(jobs, hands.ports, wiring.pinger(hands), reported)
        document = tick_document(done, hands.trips.total, waiting)
    code = int(done.exit)
    output.give(
        "tick",
        document,
        lambda width: tick_words(done, width, waiting),
        as_json=json,
        code=code,
        silent=quiet and not is_worth_telling(done),
    )
    return code
