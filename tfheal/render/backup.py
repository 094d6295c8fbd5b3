"""Backups in words, and as scripts read them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from tfheal.base.amounts import size
from tfheal.base.exits import Exit
from tfheal.base.moments import rfc3339
from tfheal.core.backup.listing import Entry
from tfheal.model.backup import Backup, Listed, Made, Part
from tfheal.model.ownership import Handover, Revoked
from tfheal.model.rescanned import Rescanned
from tfheal.render.words import ago, table

_STYLES: Final = {
    "good": "green",
    "partial": "yellow",
    "suspect": "yellow",
    "failed": "bold red",
    "running": "cyan",
    "forgotten": "dim",
    "erased": "dim",
}


def made_words(results: Sequence[Made]) -> RenderableType:
    """Given what became of backups, return it for a person."""
    parts: list[RenderableType] = []
    for result in results:
        if result.backup is None:
            word = ("refused", "yellow") if result.failure is Exit.REFUSED else ("failed", "red")
            parts.append(Text.assemble((result.app, "bold"), "  ", word, f"  {result.refused}"))
        else:
            parts += _entry(result.backup)
        if result.uncopied:
            parts.append(Text(f"  not all was copied to the second store: {result.uncopied}", style="red"))
    return Group(*parts) if parts else Text("no app has backups")


def made_document(results: Sequence[Made], round_trips: int) -> dict[str, object]:
    """Given what became of backups, return it as scripts read it."""
    return {
        "round_trips": round_trips,
        "backups": [
            {"app": result.app, "refused": result.refused}
            if result.backup is None
            else {**backup_document(result.backup), "uncopied": result.uncopied}
            for result in results
        ],
    }


def listed_words(listed: Listed, now: datetime) -> RenderableType:
    """Given backups and why each is kept, return them as a table for a person."""
    if not listed.backups:
        return Text("no backups yet: tfheal backup run makes one")
    made = table("id", "app", "taken", "state", "holds", "added", "kept for")
    for backup in listed.backups:
        why = ", ".join(listed.reasons.get(backup.id, ())) or "may go"
        state = (
            Text("good, damaged", style="red") if _spoilt(backup) else Text(backup.state, style=_STYLES[backup.state])
        )
        taken = f"{ago(backup.started, now)} ago"
        made.add_row(backup.id, backup.app, taken, state, size(backup.bytes), size(backup.added), why)
    return made


def listed_document(listed: Listed) -> dict[str, object]:
    """Given backups and why each is kept, return them as scripts read them."""
    return {
        "backups": [
            {**backup_document(backup), "kept_for": list(listed.reasons.get(backup.id, ()))}
            for backup in listed.backups
        ]
    }


def backup_words(backup: Backup) -> RenderableType:
    """Given a backup, return all that is known of it for a person."""
    return Group(*_entry(backup))


def backup_document(backup: Backup) -> dict[str, object]:
    """Given a backup, return it as scripts read it."""
    return {
        "id": backup.id,
        "app": backup.app,
        "store": backup.store,
        "state": backup.state,
        "started": rfc3339(backup.started),
        "received": rfc3339(backup.received) if backup.received else {"unknown": "its end is not known yet"},
        "bytes": backup.bytes,
        "added": backup.added,
        "held": backup.held,
        "damaged": _spoilt(backup),
        "detail": backup.detail,
        "parts": [_part(part) for part in backup.parts],
    }


def entries_words(found: Mapping[str, Sequence[Entry]]) -> RenderableType:
    """Given what a backup holds in a folder, by part, return it for a person."""
    lines: list[RenderableType] = []
    for part, entries in found.items():
        lines.append(Text(part, style="bold"))
        lines += [Text(f"  {size(entry.bytes):>8}  {entry.path}{'/' * (entry.kind == 'dir')}") for entry in entries]
    return Group(*lines)


def entries_document(backup: Backup, path: str, found: Mapping[str, Sequence[Entry]]) -> dict[str, object]:
    """Given what a backup holds in a folder, by part, return it as scripts read it."""
    return {
        "id": backup.id,
        "path": path,
        "parts": {
            part: [
                {"path": entry.path, "type": entry.kind, "bytes": entry.bytes, "changed": entry.changed}
                for entry in entries
            ]
            for part, entries in found.items()
        },
    }


def rescanned_words(results: Sequence[Rescanned]) -> RenderableType:
    """Given what stores knew, return it for a person."""
    lines = [
        Text(f"{one.app}  {one.failed or f'{one.known} backups are known, {one.learned} of them are new to us'}")
        for one in results
    ]
    for one in results:
        if one.carried:
            lines.append(Text(f"  {one.carried} of another store were found here again, as copies"))
        lines += [
            Text(
                f"  unknown in {each.slice}: {each.snapshot[:8]}  {each.time}  {', '.join(each.paths)}", style="yellow"
            )
            for each in one.unknown
        ]
    return Group(*lines)


def rescanned_document(results: Sequence[Rescanned]) -> dict[str, object]:
    """Given what stores knew, return it as scripts read it."""
    return {
        "apps": [
            {
                "app": one.app,
                "learned": one.learned,
                "known": one.known,
                "carried": one.carried,
                "failed": one.failed,
                "unknown": [
                    {"slice": each.slice, "snapshot": each.snapshot, "time": each.time, "paths": list(each.paths)}
                    for each in one.unknown
                ],
            }
            for one in results
        ]
    }


def revoked_words(made: Revoked) -> str:
    """Given whether we still get in, return the guide, or what was proven."""
    if made.opening:
        return made.guide.rstrip()
    count, places = sum(made.tried.values()), len(made.tried)
    return (
        f"{made.app}: passwords of ours tried: {count}, on repositories: {places}; none opens any, restic ends with 12\n"
        "they are deleted here, and so is our way to the store; older states of the workspace, in git say, have them yet\n"
        f"now take `backup` out of apps/{made.app}.yaml"
    )


def revoked_document(made: Revoked) -> dict[str, object]:
    """Given whether we still get in, return it as scripts read it."""
    return {"app": made.app, "tried": dict(made.tried), "opening": list(made.opening), "guide": made.guide}


def handover_document(made: Handover) -> dict[str, object]:
    """Given the owner's key on its sheet, return it as scripts read it."""
    return {
        "app": made.app,
        "owner": made.owner,
        "sealed_to": made.recipient,
        "repositories": dict(made.repositories),
        "sheet": made.sheet,
        "failed": dict(made.failed),
    }


def handover_hint(made: Handover) -> str:
    """Given the owner's key on its sheet, return what to do with what is printed, and to what there is no key that was tried."""
    failed = "".join(
        f"{name}: {'this key was not tried' if name in made.repositories else 'no key was made'}: {why}\n"
        for name, why in made.failed.items()
    )
    if failed:
        untried = any(name in made.repositories for name in made.failed)
        failed += f"say `tfheal backup owner-key {made.app}{' --new' if untried else ''}` again when that is mended\n"
    if made.recipient:
        how = f"for {made.owner} alone, who opens it by: age --decrypt --identity KEY-FILE. It is not shown again"
        return f"{failed}{how}"
    how = f"give this to {made.owner} and keep no copy: it is not shown again. With a `recipient` it would be encrypted"
    return f"{failed}{how}"


def _entry(backup: Backup) -> list[RenderableType]:
    head = Text.assemble(
        (backup.app, "bold"),
        f"  {backup.id}  ",
        (backup.state, _STYLES[backup.state]),
        f"  {rfc3339(backup.started)}  {size(backup.bytes)}, {size(backup.added)} new in {backup.store}",
    )
    lines: list[RenderableType] = [head]
    for part in backup.parts:
        told = f"{size(part.bytes)} in {part.files} files, snapshot {part.snapshot[:8]}" if part.snapshot else "nothing"
        lines.append(
            Text.assemble(
                f"  {part.name}  ", (part.state, _STYLES[part.state]), f"  {told}", f"  {part.detail}".rstrip()
            )
        )
    if _spoilt(backup):
        lines.append(
            Text("  the last drill of it found it damaged: a restore takes it only by --snapshot", style="red")
        )
    return [*lines, Text(f"  {backup.detail}")] if backup.detail else lines


def _spoilt(backup: Backup) -> bool:
    return backup.state == "good" and not backup.is_sure


def _part(part: Part) -> dict[str, object]:
    return {
        "slice": part.slice,
        "what": part.what,
        "state": part.state,
        "snapshot": part.snapshot or {"unknown": "none was made"},
        "bytes": part.bytes,
        "files": part.files,
        "added": part.added,
        "paths": list(part.paths),
        "detail": part.detail,
    }
