"""Scripts run here and now, by every kind of sh that this machine has: they need no more than a shell and coreutils."""

import shutil
import subprocess
import tempfile
import threading
from typing import IO, Final

_KINDS: Final = {"dash": ("dash",), "busybox": ("busybox", "sh"), "bash": ("bash", "--posix")}
SHELLS: Final = tuple(words for name, words in _KINDS.items() if shutil.which(name)) or (("sh",),)
MARKER: Final = "0123456789abcdef"


def ran(
    script: str | bytes, shell: tuple[str, ...] = SHELLS[0], *, timeout: float = 30.0
) -> subprocess.CompletedProcess[bytes]:
    """Run a script as the transport does, on stdin, and return what came of it."""
    data = script.encode() if isinstance(script, str) else script
    return subprocess.run(shell, input=data, capture_output=True, check=False, timeout=timeout)


def kept_open(
    script: str, shell: tuple[str, ...] = SHELLS[0], *, timeout: float = 30.0
) -> subprocess.CompletedProcess[bytes]:
    """Run a script as the transport runs one that asks for beats: its stdin stays open until it has ended."""
    with tempfile.TemporaryFile() as errors, begun(script, shell, errors) as process:
        assert process.stdout
        assert process.stdin
        ending = threading.Timer(timeout, process.kill)
        ending.start()
        said = process.stdout.read()
        status = process.wait()
        ending.cancel()
        process.stdin.close()
        errors.seek(0)
        return subprocess.CompletedProcess(shell, status, said, errors.read())


def begun(script: str, shell: tuple[str, ...] = SHELLS[0], errors: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """Start a script and leave its stdin open: whoever closes it is gone, and whoever writes nothing there is silent."""
    process = subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
    assert process.stdin
    process.stdin.write(script.encode())
    return process
