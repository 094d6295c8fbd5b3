"""Times as everything outside reads them."""

from datetime import UTC, datetime

from tfheal.base.errors import UsageError


def rfc3339(moment: datetime) -> str:
    """Given an aware time, return it as RFC 3339 in UTC with whole seconds: `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parsed(text: str) -> datetime:
    """Given a time as RFC 3339 has it, local where it names no offset, return it in UTC; raise UsageError for none."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "such as 2026-01-31T12:00:00Z, 2026-01-31T13:00+01:00, or without an offset your local time"
        raise UsageError(f"{text!r} is not a time", hint=hint) from None
