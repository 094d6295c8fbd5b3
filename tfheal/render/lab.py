"""The lab in words: tables for people, documents for scripts."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tfheal.base.amounts import size
from tfheal.model.lab import FaultKind, FaultReport, Lab, LabSlice
from tfheal.render.words import NARROW, table


def labs_words(labs: Sequence[Lab], width: int) -> RenderableType:
    """Given labs, return their slices for a screen of that width, or the word that there is none."""
    if not labs:
        return Text("no lab on this machine")
    parts: list[RenderableType] = []
    for lab in labs:
        head = f"lab {lab.name}, workspace {lab.workspace or 'unknown'}, network {lab.network}"
        parts += [Text(head, style="bold"), _slices(lab, narrow=width < NARROW), Text("")]
    return Group(*parts[:-1])


def _slices(lab: Lab, *, narrow: bool) -> Table:
    made = (
        table("slice", "state", "faults")
        if narrow
        else table("slice", "state", "address", "ipv4", "memory", "disk", "faults")
    )
    for each in lab.slices:
        faults = ", ".join(each.faults) or "-"
        if narrow:
            made.add_row(each.name, each.condition, faults)
        else:
            made.add_row(
                each.name, each.condition, each.address, each.address4, size(each.memory), size(each.disk), faults
            )
    return made


def faults_table(kinds: Sequence[FaultKind]) -> str:
    """Given the kinds of faults, return what each does and how it is taken away."""
    return "\n".join(
        f"{kind.name} ({kind.group})\n  does:   {kind.does}\n  proven: {kind.proven}\n  mended: {kind.mended}"
        for kind in kinds
    )


def reports(done: Sequence[FaultReport]) -> str:
    """Given what was done to slices, return one line for each."""
    lines = (f"{one.slice}: {one.fault} {one.instance}".rstrip() + f": {one.detail}" for one in done)
    return "\n".join(lines) or "nothing to mend"


def lab_document(lab: Lab) -> dict[str, object]:
    """Given a lab, return it as scripts read it."""
    return {
        "lab": lab.name,
        "workspace": lab.workspace,
        "network": lab.network,
        "network4": lab.network4,
        "slices": [slice_document(each) for each in lab.slices],
    }


def slice_document(made: LabSlice) -> dict[str, object]:
    """Given a slice, return it as scripts read it."""
    document = asdict(made)
    return {"slice": document.pop("name"), **document, "faults": list(made.faults)}


def report_document(done: FaultReport) -> dict[str, object]:
    """Given what was done to a slice, return it as scripts read it."""
    return asdict(done)


def fault_document(kind: FaultKind) -> dict[str, object]:
    """Given a kind of fault, return it as scripts read it."""
    document = asdict(kind)
    return {"fault": document.pop("name"), **document, "of_app": kind.of_app}
