"""Names, durations and sizes: the small words that every file of a workspace is made of."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema

NAME_PATTERN: Final = r"^[a-z][a-z0-9-]{0,30}$"
_DURATION: Final = re.compile(r"(\d{1,9})(ms|s|m|h|d|w)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_SIZE: Final = re.compile(r"(\d{1,9})([KMGT])?")
_BYTES: Final = {None: 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Strict(BaseModel):
    """What every model of a file is: frozen, and an unknown key is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=1_000_000)


def seconds(written: object) -> float:
    """Given `30s`, `5m`, `2h`, `7d`, `1w` or a number of seconds, return seconds; raise ValueError otherwise."""
    if isinstance(written, (int, float)) and not isinstance(written, bool) and written >= 0:
        return float(written)
    match = _DURATION.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        msg = "a duration is a number with a unit: 500ms, 30s, 5m, 2h, 7d, 1w"
        raise ValueError(msg)
    return int(match[1]) * _SECONDS[match[2]]


def size_in_bytes(written: object) -> int:
    """Given `4G`, `512M` or a number of bytes, return bytes (powers of 1024); raise ValueError otherwise."""
    if isinstance(written, int) and not isinstance(written, bool) and written >= 0:
        return written
    match = _SIZE.fullmatch(written) if isinstance(written, str) else None
    if match is None:
        msg = "a size is a number with a unit: 512K, 512M, 4G, 1T"
        raise ValueError(msg)
    return int(match[1]) * _BYTES[match[2]]


def _mode(written: str) -> str:
    if not re.fullmatch(r"[0-7]{4}", written):
        msg = 'a mode is four octal digits in quotes: "0640"'
        raise ValueError(msg)
    return written


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Duration = Annotated[
    float,
    BeforeValidator(seconds),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^\d+(ms|s|m|h|d|w)$"}, {"type": "number", "minimum": 0}]}
    ),
]
Size = Annotated[
    int,
    BeforeValidator(size_in_bytes),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^\\d+[KMGT]?$"}, {"type": "integer", "minimum": 0}]}),
]
Mode = Annotated[str, AfterValidator(_mode), WithJsonSchema({"type": "string", "pattern": "^[0-7]{4}$"})]
