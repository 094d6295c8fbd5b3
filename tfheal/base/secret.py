"""A secret is a type, so that it cannot be printed, logged or serialised by accident."""

from collections.abc import Iterable
from typing import Final

MASK: Final = "***"


class Secret:
    """Text that shows itself only to `reveal`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap the value."""
        self._value = value

    def reveal(self) -> str:
        """Return the value; the caller sees to it that it reaches no argv, log, journal or exception."""
        return self._value

    def __repr__(self) -> str:
        """Return the mask."""
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Return whether both hold the same value."""
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        """Return the hash of the value."""
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        """Refuse to be pickled."""
        msg = "a secret is not serialised"
        raise TypeError(msg)


def masked(text: str, values: Iterable[str]) -> str:
    """Given text that came from elsewhere and the values of secrets, return it with each of these masked.

    The longest goes first: a secret that is part of another would leave the rest of that one to be read.
    """
    for value in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
