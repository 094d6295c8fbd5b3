"""The image of a container, and the name that it has on a slice: after what it is made of, never a name that can move."""

import base64
import re
from collections.abc import Iterable
from typing import Final

from tfheal.base.errors import UsageError
from tfheal.core.resources.step import digest
from tfheal.model.resources import Container

_PINNED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9./:_-]{0,200}@sha256:[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_NAME: Final = 100
_ID_LENGTH: Final = 16


def family(container: Container) -> str:
    """Given a rendered container, return the name that all its images have; raise UsageError for what is no name."""
    if not _NAME.fullmatch(container.name) or len(container.name) > _LONGEST_NAME:
        raise UsageError(f"{container.name!r} is not the name of a container", hint="small letters, digits and dashes")
    return f"localhost/{container.name}"


def image_id(container: Container, trees: Iterable[str]) -> str:
    """Given a rendered container and the names of the software that is built from, return the tag of its image.

    Raise UsageError for an image that is not named by its digest.
    """
    if container.image is not None:
        if not _PINNED.fullmatch(container.image):
            raise UsageError(f"{container.image!r} is not an image by its digest", hint="NAME@sha256:64 digits")
        made_of = container.image.encode()
    elif container.base64 is not None:
        made_of = base64.b64decode(container.base64)
    else:
        made_of = "\0".join([container.content or "", container.context, *trees]).encode()
    return digest(made_of)[:_ID_LENGTH]
