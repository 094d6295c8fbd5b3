"""A restore in words, and as scripts read it."""

from datetime import UTC, datetime

from tfheal.base.amounts import size, span
from tfheal.base.moments import rfc3339
from tfheal.model.backup import Planned, Restored
from tfheal.model.replayed import Replayed
from tfheal.render.words import ago


def _exact(moment: datetime) -> str:
    """Return a time in UTC with all that was said of it: a fraction of a second decides which changes are in."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def planned_words(plan: Planned, now: datetime) -> str:
    """Given what a restore would do, return it for a person, what is lost by it too."""
    backup = plan.backup
    lines = [f"{plan.app}: backup {backup.id}, {backup.state}, {rfc3339(backup.started)}, {size(backup.bytes)}"]
    lines += [
        f"  {one} is newer, and not taken: a drill found it damaged; --snapshot {one} takes it"
        for one in plan.passed_over
    ]
    if plan.asked:
        lines.append(f"  it is the newest good one that was whole at {_exact(plan.asked)}, which was asked for")
    if plan.scratch:
        return "\n".join([*lines, f"  into {plan.scratch} on its slices; what is live stays as it is"])
    lines += [f"  {name}  {', '.join(folders)}" for name, folders in plan.folders.items()]
    lines += [f"  {name}  {', '.join(found)}" for name, found in plan.dumps.items()]
    until = f"as they were at {_exact(plan.asked)}" if plan.asked else "as the last change that was stored left them"
    lines += [f"  {name}  its databases come {until}, by what was changed since the backup" for name in plan.replay]
    lines += [f"  {name} is not part of it: --scratch DIR writes it into a folder" for name in plan.left]
    if plan.to:
        return "\n".join([*lines, f"  onto {plan.to}, where nothing of it is started; what is live stays as it is"])
    lost = f"what was written in the last {ago(plan.lost_since, now)}, since {rfc3339(plan.lost_since)}, is not in it"
    return "\n".join([*lines, f"  {lost}; it is set aside beside what comes back"])


def restored_words(restored: Restored) -> str:
    """Given how a restore ended, return it for a person."""
    lines = [f"{name}  {how}" for name, how in restored.outcomes.items()]
    if restored.planned.to and restored.exit == 0:
        lines += _going_on(restored.planned)
    return "\n".join(
        [
            f"{restored.planned.app}: restored in {span(restored.seconds)}"
            if restored.exit == 0
            else f"{restored.planned.app}: not restored",
            *(f"  {line}" for line in lines),
            *(f"  {replayed_words(slice_name, far)}" for slice_name, far in restored.replayed.items()),
        ]
    )


def replayed_words(slice_name: str, far: Replayed) -> str:
    """Given how far the changes of a server were replayed, return it for a person."""
    last = f"the last one was made at {far.last}" if far.last else "there was none"
    last += f"; {far.lacking}" if far.lacking else ""
    if far.whole:
        return f"{slice_name}: all changes that were stored are in it; {last}"
    return f"{slice_name}: the changes until then are in it; {last}"


def _going_on(plan: Planned) -> list[str]:
    """Return how a person goes on after data was set down on another slice."""
    live = ", ".join(str(name) for name in plan.instances)
    places = ", ".join(f"{name.component}: [{plan.to}]" for name in plan.instances)
    names = " ".join(str(name) for name in plan.instances)
    spec = f"`place: {{{places}}}` in apps/{plan.app}.yaml"
    return [
        f"it is stopped on {plan.to}, and nothing leads there; {live} is as before",
        f"to go on there: tfheal remove {names}, then {spec}, and tfheal deploy {plan.app}",
    ]


def planned_document(plan: Planned) -> dict[str, object]:
    """Given what a restore would do, return it as scripts read it."""
    return {
        "app": plan.app,
        "backup": plan.backup.id,
        "state": plan.backup.state,
        "passed_over": list(plan.passed_over),
        "data_time": rfc3339(plan.lost_since),
        "asked_for": rfc3339(plan.asked) if plan.asked else False,
        "scratch": plan.scratch or False,
        "to": plan.to or False,
        "instances": [
            {
                "instance": str(name),
                "folders": list(plan.folders.get(name, ())),
                "dumps": list(plan.dumps.get(name, ())),
                "replayed": name in plan.replay,
            }
            for name in plan.instances
        ],
        "left_out": list(plan.left),
    }


def restored_document(restored: Restored, round_trips: int) -> dict[str, object]:
    """Given how a restore ended, return it as scripts read it."""
    outcomes = [{"instance": str(name), "outcome": how} for name, how in restored.outcomes.items()]
    return {
        **planned_document(restored.planned),
        "outcomes": outcomes,
        "replayed": [
            {"slice": name, "to_the_end": far.whole, "last_change": far.last or False, "lacking": far.lacking}
            for name, far in restored.replayed.items()
        ],
        "seconds": round(restored.seconds, 3),
        "round_trips": round_trips,
    }
