"""The lab in words: tables for people, documents for scripts."""

from collections.abc import Sequence
from dataclasses import asdict

from tfheal.model.lab import FaultKind, FaultReport, Lab, LabSlice

_MIB = 1 << 20


def lab_table(lab: Lab) -> str:
    """Given a lab, return its slices as a table."""
    head = ("SLICE", "STATE", "ADDRESS", "IPV4", "MEMORY", "DISK", "FAULTS")
    rows = [
        (
            each.name,
            each.condition,
            each.address,
            each.address4,
            f"{each.memory // _MIB}M",
            f"{each.disk // _MIB}M",
            ", ".join(each.faults) or "-",
        )
        for each in lab.slices
    ]
    return f"lab {lab.name}, workspace {lab.workspace or 'unknown'}, network {lab.network}\n{table(head, rows)}"


def labs_tables(labs: Sequence[Lab]) -> str:
    """Given labs, return their tables, or the word that there is none."""
    return "\n\n".join(lab_table(lab) for lab in labs) or "no lab on this machine"


def faults_table(kinds: Sequence[FaultKind]) -> str:
    """Given the kinds of faults, return what each does and how it is taken away."""
    return "\n".join(
        f"{kind.name}\n  does:   {kind.does}\n  proven: {kind.proven}\n  mended: {kind.mended}" for kind in kinds
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
    return {"fault": document.pop("name"), **document}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Given a head and rows of text, return them in columns."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "\n".join(line.rstrip() for line in lines)
