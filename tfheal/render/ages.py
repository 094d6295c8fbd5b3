"""The ages of backups in words, and as scripts read them: taken, complete, verified, drilled; what would be lost, how long it took."""

from math import inf

from rich.table import Table
from rich.text import Text

from tfheal.base.amounts import span
from tfheal.model.results import Status
from tfheal.model.verification import Proof
from tfheal.render.drill import steps_document
from tfheal.render.words import table


def ages_table(status: Status, *, narrow: bool) -> Table:
    """Given a status in which apps have backups, return a line for each of them, for a person."""
    heads = ("backups of", "complete", "verified", "drilled", "rpo")
    made = table(*heads) if narrow else table(*heads, "rto", "taken", "changes")
    for app, found in status.backups.items():
        practice, proof = status.drills.get(app), status.proofs.get(app)
        row = [
            Text(app, style="bold"),
            _age(found.complete, found.limit),
            _age(proof.structure, proof.structure_limit) if proof else _age(None),
            _age(practice.drilled, practice.drilled_limit) if practice else _age(None),
            _span(found.rpo, found.limit, "all"),
        ]
        more = [
            _span(practice.rto, practice.rto_limit, "not drilled") if practice else Text("not drilled"),
            _age(found.taken),
            Text("none") if found.changes is None else _age(found.changes),
        ]
        made.add_row(*row, *([] if narrow else more))
    return made


def _age(age: float | None, limit: float = inf) -> Text:
    return (
        Text("never", style="yellow")
        if age is None
        else Text(f"{span(age)} ago", style="yellow" if age > limit else "")
    )


def _span(seconds: float | None, limit: float, unknown: str) -> Text:
    return (
        Text(unknown, style="yellow")
        if seconds is None
        else Text(span(seconds), style="yellow" if seconds > limit else "")
    )


def ages_document(status: Status, app: str) -> dict[str, object] | bool:
    """Given a status and an app, return the ages of its backups in seconds, RPO and RTO achieved, and the limits; false: it wants none."""
    found, practice, proof = status.backups.get(app), status.drills.get(app), status.proofs.get(app)
    if found is None or practice is None:
        return False
    return {
        "taken": _document(found.taken),
        "complete": _document(found.complete),
        "limit": found.limit,
        "changes": _document(found.changes),
        "rpo": _document(found.rpo),
        "drilled": _document(practice.drilled),
        "rto": _document(practice.rto),
        "drilled_limit": practice.drilled_limit,
        "rto_limit": practice.rto_limit,
        "rto_steps": steps_document(practice.steps),
        "verified": _verified(proof) if proof else {"unknown": "there is none yet"},
    }


def _verified(proof: Proof) -> dict[str, object]:
    return {
        "structure": _document(proof.structure),
        "structure_limit": proof.structure_limit,
        "payload": _document(proof.payload),
        "payload_limit": proof.payload_limit,
    }


def _document(age: float | None) -> object:
    return {"unknown": "there is none yet"} if age is None else round(age)
