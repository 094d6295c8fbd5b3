"""Upgrades in words, and as scripts read them."""

from tfheal.model.upgrade import Upgraded
from tfheal.render.words import span


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
        way = {
            "safe": "it takes itself back",
            "needs-restore": "it takes itself back with the data of the backup, unless it served already",
            "forbidden": "a human is called",
        }
        return "\n".join([*lines, f"  if that fails, {way[done.rule]} (rollback: {done.rule})"])
    lines = [
        f"{head}  {one.state} in {span(done.seconds)}",
        *(f"  {name}  {how}" for name, how in done.outcomes.items()),
    ]
    return "\n".join([*lines, f"  {one.detail}"] if one.detail else lines)


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
        "instances": [
            {"instance": str(name), "outcome": done.outcomes.get(name, one.state)}
            for name in (done.outcomes or done.order)
        ],
        "interruption": dict(done.interruption),
        "refused": done.refused,
        "detail": one.detail,
    }
