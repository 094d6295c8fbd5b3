"""What reading the repositories came to, in words and as scripts read it."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.moments import rfc3339
from tfheal.model.verification import SHARES, WHOLE, Verification, Verified


def verified_words(results: Sequence[Verified]) -> RenderableType:
    """Given what became of verifications, return it for a person."""
    lines: list[RenderableType] = []
    for result in results:
        name = f"{result.app}@{result.slice}" if result.slice else result.app
        if (done := result.verification) is None:
            lines.append(Text.assemble((name, "bold"), "  ", ("not verified", "yellow"), f"  {result.refused}"))
            continue
        state = ("sound", "green") if done.sound else ("damaged", "bold red")
        told = f"  structure, and {_share(done)} of the payload  {done.detail}".rstrip()
        lines.append(Text.assemble((name, "bold"), "  ", state, told))
        lines += [Text(f"  {one}") for one in done.touched]
        if done.unknown:
            lines.append(Text(f"  {done.unknown} snapshots are not in our catalogue"))
    return Group(*lines) if lines else Text("no app has backups")


def verified_document(results: Sequence[Verified], round_trips: int) -> dict[str, object]:
    """Given what became of verifications, return it as scripts read it."""
    return {"round_trips": round_trips, "repositories": [_document(result) for result in results]}


def _document(result: Verified) -> dict[str, object]:
    head: dict[str, object] = {"app": result.app, "slice": result.slice}
    if (done := result.verification) is None:
        return {**head, "refused": result.refused}
    return {
        **head,
        "at": rfc3339(done.at),
        "sound": done.sound,
        "payload": _share(done),
        "unknown_snapshots": done.unknown,
        "detail": done.detail,
        "touched": list(done.touched),
    }


def _share(done: Verification) -> str:
    return "all" if done.share == WHOLE else f"{done.share}/{SHARES}"
