"""Upgrades in words, and as scripts read them."""

from textwrap import indent

from tfheal.base.amounts import span, within
from tfheal.base.errors import TfhealError
from tfheal.base.moments import rfc3339
from tfheal.base.untrusted import brief
from tfheal.model.rollout import RolledOut
from tfheal.model.upgrade import Upgraded
from tfheal.render.errors import error_document


def upgrade_words(done: Upgraded) -> str:
    """Given what became of an upgrade, or would, return it for a person."""
    one = done.upgrade
    head = f"{one.app}: from {one.old} to {one.new}"
    if one.state == "unchanged":
        return f"{one.app}: is at {one.new} already"
    if one.state == "planned":
        lines = [head, *([f"  refused as it stands: {done.refused}"] if done.refused else [])]
        lines += ["  first a backup, which is verified" if done.backs_up else "  no backup is made before"]
        lines += [f"  {name}" for name in done.order]
        if one.strategy == "canary":
            lines += [f"  the first behind its gateway has {done.share:g} % of the requests for {span(done.trial)}"]
        lines += [f"  {component}: {words}" for component, words in done.interruption.items()]
        lines += [f"  it is expected to end within {within(done.backing + done.takes)}"]
        return "\n".join([*lines, f"  if that fails, {_way_back(done)} (rollback: {done.rule})"])
    away = "" if done.away is None else f", {span(done.away)} of which it was closed"
    lines = [
        f"{head}  {one.state} in {span(done.seconds)}{away}",
        *(f"  {name}  {brief(how)}" for name, how in done.outcomes.items()),
    ]
    return "\n".join([*lines, indent(one.detail.rstrip(), "  ")] if one.detail else lines)


def _way_back(done: Upgraded) -> str:
    """Return in words what happens to an upgrade that fails."""
    if done.rule == "needs-restore" and done.closes and done.backs_up:
        return "it takes itself back with the data of the backup, unless it served already"
    if done.rule == "needs-restore" and done.moving:
        return "it takes itself back, if its data of before is all where it was; else a human is called"
    return "it takes itself back" if done.rule == "safe" else "a human is called"


def upgrade_document(done: Upgraded) -> dict[str, object]:
    """Given what became of an upgrade, or would, return it as scripts read it."""
    one = done.upgrade
    return {
        "app": one.app,
        "from": one.old,
        "to": one.new,
        "state": one.state,
        "strategy": one.strategy,
        "share": done.share,
        "trial": done.trial,
        "rollback": done.rule,
        "backup": one.backup or {"unknown": "none was made"},
        "backs_up": done.backs_up,
        "takes": round(done.backing + done.takes, 1),
        "instances": [
            {"instance": str(name), "outcome": done.outcomes.get(name, one.state)}
            for name in (done.outcomes or done.order)
        ],
        "interruption": dict(done.interruption),
        "closes": done.closes,
        **({} if done.away is None else {"closed_for": round(done.away, 1)}),
        "refused": done.refused,
        "detail": one.detail,
    }


def rollout_words(done: RolledOut) -> str:
    """Given what became of an upgrade of many apps, or would, return it for a person."""
    one, lines = (
        done.rollout,
        [f"{done.rollout.playbook} to {done.rollout.version}: {done.rollout.state}{_short(done)}"],
    )
    for number, wave in enumerate(one.waves, start=1):
        lines += [f"wave {number}", *(f"  {_of_wave(app, done)}" for app in wave)]
    return "\n".join([*lines, one.detail] if one.detail else lines)


def _short(done: RolledOut) -> str:
    """Return how many apps did not come to the version where all waves were gone through."""
    one = done.rollout
    short = [app for app, outcome in one.outcomes.items() if outcome not in {"done", "unchanged"}]
    of = sum(len(wave) for wave in one.waves)
    return f", but {len(short)} of {of} did not come to it" if short and one.state == "done" else ""


def _of_wave(app: str, done: RolledOut) -> str:
    went = done.went.get(app)
    if went is None:
        return f"{app}: {done.rollout.outcomes.get(app, 'not begun')}"
    if isinstance(went, TfhealError):
        return f"{app}: {str(went).removeprefix(f'{app}: ')}"
    one, state = went.upgrade, went.upgrade.state
    why = went.refused or brief(one.detail)
    if state == "unchanged":
        return f"{app}: is at {one.new} already"
    return f"{app}: from {one.old}, {state if state != 'planned' or not went.refused else 'refused'}{f': {why}' if why else ''}"


def rollout_document(done: RolledOut) -> dict[str, object]:
    """Given what became of an upgrade of many apps, or would, return it as scripts read it: a list of what each app alone would give."""
    one = done.rollout
    return {
        "playbook": one.playbook,
        "to": one.version,
        "state": one.state,
        "waves": [list(wave) for wave in one.waves],
        "rests": rfc3339(one.rests) if one.rests else False,
        "detail": one.detail,
        "upgrades": [_of_app(app, done) for wave in one.waves for app in wave],
    }


def _of_app(app: str, done: RolledOut) -> dict[str, object]:
    went = done.went.get(app)
    if went is None:
        return {"app": app, "state": done.rollout.outcomes.get(app, "waiting"), "to": done.rollout.version}
    if isinstance(went, TfhealError):
        state = {6: "refused", 4: "unreachable"}.get(int(went.exit), "failed")
        return {"app": app, "state": state, "to": done.rollout.version, **error_document(went)}
    return {"exit": int(went.exit), **upgrade_document(went)}
