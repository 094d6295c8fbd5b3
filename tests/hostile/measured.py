"""Run a command, keep both its streams in files, and measure it alone: a parent of its own, so that no other is counted.

Its stdout is a file, or a terminal whose every byte is kept.
"""

import contextlib
import json
import os
import pty
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

place, shown, *command = Path(sys.argv[1]), *sys.argv[2:]
begun = time.monotonic()
with place.with_suffix(".out").open("wb") as out, place.with_suffix(".err").open("wb") as err:
    ours, theirs = pty.openpty()

    def keep() -> None:
        """Read what comes to the terminal until nobody has it open any more."""
        with contextlib.suppress(OSError):
            while said := os.read(ours, 1 << 16):
                out.write(said)

    reader = threading.Thread(target=keep)
    with subprocess.Popen(command, stdout=theirs if shown == "terminal" else out, stderr=err) as process:
        os.close(theirs)
        if shown == "terminal":
            reader.start()
            reader.join()
        code = process.wait()
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
place.with_suffix(".cost").write_text(json.dumps({"seconds": time.monotonic() - begun, "memory": memory}))
sys.exit(code)
