"""Times as everything outside reads them."""

from datetime import UTC, datetime


def rfc3339(moment: datetime) -> str:
    """Given an aware time, return it as RFC 3339 in UTC with whole seconds: `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
