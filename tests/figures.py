"""Figures as the README shows them: tables in Markdown between two markers, with the machine and the day they are of."""

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tfheal.edge.clock import SystemClock


def between(readme: str, markers: tuple[str, str], written: str) -> str:
    """Given the text of the README and the lines that begin and end a part of it, return it with that part anew."""
    begin, end = markers
    before, found, rest = readme.partition(begin)
    assert found, f"the README has no line {begin!r}"
    return before + begin + written + end + rest.partition(end)[2]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def today() -> str:
    """Return the date."""
    return SystemClock().now().date().isoformat()


def machine() -> str:
    """Return on what it was measured."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    release = dict(line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines())
    server = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0].strip()
    return (
        f"{os.cpu_count()} cores ({model}), {memory} GiB, {release['PRETTY_NAME'].strip(chr(34))}, {server}, "
        f"Python {platform.python_version()}"
    )
