"""A tick in words, and as scripts read it."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.exits import Exit
from tfheal.base.moments import rfc3339
from tfheal.model.tick import Part, Tick
from tfheal.model.window import Waiting
from tfheal.render.heal import heal_document, heal_words
from tfheal.render.patch import patched_words, run_document
from tfheal.render.upgrade import upgrade_document, upgrade_words


def tick_words(tick: Tick, width: int, waiting: Iterable[Waiting] = ()) -> RenderableType:
    """Given a tick and what waits for a window, return it for a person's screen of that width."""
    lines = [Text(words, style="yellow") for words in (tick.locked, tick.unsent) if words]
    parts = [_words(part, width) for part in tick.parts.values()]
    return Group(*lines, *parts, *(Text(f"{one.app}: {one.words}") for one in waiting))


def tick_document(tick: Tick, round_trips: int, waiting: Iterable[Waiting] = ()) -> dict[str, object]:
    """Given a tick and what waits for a window, return it as scripts read it: schema tfheal/tick/1."""
    return {
        "round_trips": round_trips,
        "parts": {name: _part(part, round_trips) for name, part in tick.parts.items()},
        "waiting": [{"app": one.app, "what": one.what, "until": rfc3339(one.until)} for one in waiting],
        "locked": tick.locked or False,
        "signal": tick.signal,
        "unsent": tick.unsent or False,
    }


def is_worth_telling(tick: Tick) -> bool:
    """Return whether --quiet says anything: something was done, or is wrong; a pause and another run are neither."""
    if any(part.acted for part in tick.parts.values()):
        return True
    if tick.exit == Exit.REFUSED:
        return not (tick.locked or any(_is_held(part) for part in tick.parts.values()))
    return tick.exit != Exit.OK


def _is_held(part: Part) -> bool:
    if part.healing is None:
        return False
    paused = "paused" in part.healing.diagnosis.instances.values()
    return bool(part.healing.locked) or paused or any(one.cause == "paused" for one in part.healing.diagnosis.findings)


def _words(part: Part, width: int) -> RenderableType:
    if part.healing:
        return heal_words(part.healing, width)
    lines = [Text(f"{name}: {why}", style="yellow") for name, why in part.refused.items()]
    if part.patched:
        return Group(*lines, patched_words(part.patched))
    return Group(*lines, upgrade_words(part.upgraded) if part.upgraded else Text(part.summary))


def _part(part: Part, round_trips: int) -> dict[str, object]:
    told = heal_document(part.healing, round_trips) if part.healing else {"detail": part.summary}
    more: dict[str, object] = {"upgrade": upgrade_document(part.upgraded)} if part.upgraded else {}
    more |= {"slices": run_document(part.patched)} if part.patched else {}
    more |= {"refused": dict(part.refused)} if part.refused else {}
    return {"exit": int(part.exit), "idle": part.idle, **told, **more}
