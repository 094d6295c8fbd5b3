"""Small builders, so that a test says only what it is about."""

from tfheal.model.inventory import Slice


def a_slice(name: str = "s1", **changes: object) -> Slice:
    """Return a slice on loopback; any field can be changed."""
    fields: dict[str, object] = {"name": name, "owner": "lab", "address": "127.0.0.1"} | changes
    return Slice(**fields)  # type: ignore[arg-type]
