"""Scripts run here and now, by every kind of sh that this machine has: they need no more than a shell and coreutils."""

import shutil
import subprocess
from typing import Final

_KINDS: Final = {"dash": ("dash",), "busybox": ("busybox", "sh"), "bash": ("bash", "--posix")}
SHELLS: Final = tuple(words for name, words in _KINDS.items() if shutil.which(name)) or (("sh",),)
MARKER: Final = "0123456789abcdef"


def ran(
    script: str | bytes, shell: tuple[str, ...] = SHELLS[0], *, timeout: float = 30.0
) -> subprocess.CompletedProcess[bytes]:
    """Run a script as the transport does, on stdin, and return what came of it."""
    data = script.encode() if isinstance(script, str) else script
    return subprocess.run(shell, input=data, capture_output=True, check=False, timeout=timeout)
