"""Times as everything outside reads them."""

from datetime import UTC, datetime, tzinfo

from tfheal.base.errors import UsageError


def rfc3339(moment: datetime) -> str:
    """Given an aware time, return it as RFC 3339 in UTC with whole seconds: `2026-01-31T12:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def parsed(text: str, zone: tzinfo | None = None) -> datetime:
    """Given a time as RFC 3339 has it, return it in UTC; without an offset it is of that zone, None: the local one.

    Raise UsageError for what is no time.
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        hint = "such as 2026-01-31T12:00:00Z, 2026-01-31T13:00+01:00, or without an offset the time of the app's window, else of this machine"
        raise UsageError(f"{text!r} is not a time", hint=hint) from None
