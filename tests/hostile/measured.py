"""Run a command, keep both its streams in files, and measure it alone: a parent of its own, so that no other is counted."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

place = Path(sys.argv[1])
begun = time.monotonic()
with place.with_suffix(".out").open("wb") as out, place.with_suffix(".err").open("wb") as err:
    code = subprocess.run(sys.argv[2:], stdout=out, stderr=err, check=False).returncode
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
place.with_suffix(".cost").write_text(json.dumps({"seconds": time.monotonic() - begun, "memory": memory}))
sys.exit(code)
