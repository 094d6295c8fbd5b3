"""A round over lab slices: tfheal's whole status against the least that can be done, and against a command by its peers.

Every tool asks 10, 50 and 100 slices, first without any connection left from before, then once more at once. The slope
over the three is the price of one more slice; what the line has at no slices is the start of the program.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from contenders import CONTENDERS, Bench, Host, raw, ssh
from spent import end_all, spent

_SLOW: Final = 12.0  # seconds: a round that took longer is not repeated at that size, so that all of it stays bearable
_FORKS: Final = (5, 10, 25)
_TRIED_ON: Final = 25
_PYTHON: Final = (
    "libpython3-stdlib libpython3.13-minimal libpython3.13-stdlib python3 python3-minimal python3.13 python3.13-minimal"
)


def rounds(bench: Bench, slices: Sequence[Host], sizes: Iterable[int]) -> dict[str, Any]:
    """Return what rounds over so many of the slices cost each tool."""
    give_python(bench, slices)
    bench, tried = with_best_forks(bench, slices[-_TRIED_ON:])
    sizes = [size for size in sizes if size <= len(slices)]
    found: dict[str, Any] = {name: {"cold": {}, "again": {}} for name in CONTENDERS}
    for size in sizes:
        for name, contender in CONTENDERS.items():
            command = contender(bench, slices[-size:])
            cold = spent(command)
            found[name]["cold"][size] = cold.figures
            if cold.wall < _SLOW:
                found[name]["again"][size] = spent(command).figures
            end_all()
    return {"tools": found, "forks": bench.forks, "tried": tried}


def with_best_forks(bench: Bench, slices: Sequence[Host]) -> tuple[Bench, dict[int, float]]:
    """Return the bench with the number of forks that Ansible is quickest with here, and the seconds of each that was tried."""
    seconds = {}
    for forks in _FORKS:
        seconds[forks] = spent(raw(replace(bench, forks=forks), slices)).wall
        end_all()
    return replace(bench, forks=min(seconds, key=lambda forks: seconds[forks])), seconds


def give_python(bench: Bench, slices: Sequence[Host]) -> None:
    """Copy Python from a slice that has it to those that have none: Ansible's modules run nowhere else."""
    without = [host for host in slices if ssh(bench, host, "test -e /usr/bin/python3").returncode]
    if not without:
        return
    source = next((host for host in slices if host not in without), without[0])
    install = "apt-get update -q && apt-get install -q -y --no-install-recommends python3"
    ssh(bench, source, f"test -e /usr/bin/python3 || {{ {install}; }}").check_returncode()
    packed = ssh(bench, source, f"dpkg -L {_PYTHON} | tar -C / -cf - --no-recursion -T -")

    def copy(host: Host) -> None:
        ssh(bench, host, "tar -C / -xf -", packed.stdout).check_returncode()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(copy, (host for host in without if host is not source)))


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Given points, return the slope of the best line through them, and its height at zero."""
    count = len(points)
    middle_x, middle_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    steep = sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
    return steep, middle_y - steep * middle_x
