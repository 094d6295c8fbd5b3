"""The faults that can be put into a slice."""

from tfheal.base.errors import UsageError
from tfheal.model.lab import FaultKind, FaultReport
from tfheal.model.ports import Reporter


class Faults:
    """The faults of the lab on this machine."""

    def __init__(self, reporter: Reporter) -> None:
        """Keep whom to tell of progress."""
        self._reporter = reporter

    def kinds(self) -> tuple[FaultKind, ...]:
        """Return every fault there is."""
        return ()

    def put(self, lab: str, name: str, fault: str, app: str | None) -> FaultReport:
        """Put a fault in and prove that it landed."""
        raise UsageError("there is no such fault yet", where=f"{lab}/{name}", why=f"{fault} {app or ''}".strip())

    def mend(self, lab: str, name: str, fault: str | None) -> tuple[FaultReport, ...]:
        """Take one fault away, or all."""
        raise UsageError("there is no such fault yet", where=f"{lab}/{name}", why=fault or "")
