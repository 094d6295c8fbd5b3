"""Pauses in words, and as scripts read them."""

from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.moments import rfc3339
from tfheal.model.pause import Pause, Paused, Place

_NOT_THERE: Final = {
    "owner": "the owner's hands-off is there: nothing is written, and nothing is done anyway",
    "unreached": "could not be reached: the next round of heal or deploy that reaches it does the rest",
    "failed": "it did not work there",
}


def paused_words(done: Paused) -> RenderableType:
    """Given a pause that was made, return what holds now, and where a slice does not know it yet."""
    return Group(Text(f"{done.pause.name}: {done.pause.words}"), *_places(done))


def resumed_words(done: Paused) -> RenderableType:
    """Given a pause that was ended, return so, and where a slice does not know it yet."""
    ended = done.stood or any(place.outcome == "done" for place in done.places)
    name = done.pause.name
    return Group(Text(f"{name}: its pause is over" if ended else f"{name}: it was not paused"), *_places(done))


def paused_document(done: Paused) -> dict[str, object]:
    """Given a pause that was made or ended, return it as scripts read it."""
    return {"pause": pause_document(done.pause), "stood": done.stood, "slices": [_place(one) for one in done.places]}


def pause_document(pause: Pause) -> dict[str, object]:
    """Given a pause, return it as scripts read it."""
    return {
        "id": pause.id,
        "kind": pause.kind,
        "name": pause.name,
        "since": rfc3339(pause.since) if pause.since else {"unknown": "the slice does not tell"},
        "until": rfc3339(pause.until) if pause.until else {"unknown": "the slice tells no time"},
        "by": pause.who,
        "why": pause.why,
        "on": pause.on or False,
        "lifted": rfc3339(pause.lifted) if pause.lifted else False,
    }


def _places(done: Paused) -> list[Text]:
    lines = []
    for place in done.places:
        words = "; ".join(word for word in (_NOT_THERE.get(place.outcome, ""), place.detail) if word)
        if words:
            lines.append(Text(f"  {place.slice}  {words}", style="yellow"))
    return lines


def _place(place: Place) -> dict[str, object]:
    return {"slice": place.slice, "outcome": place.outcome, "detail": place.detail}
