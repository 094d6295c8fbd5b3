"""The whole benchmark in one run: its own lab, three parts, the figures as JSON, and the tables of the README."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from contenders import ROOT, Bench, hosts, program
from deploys import deployed
from figures import machine, today
from rounds import rounds
from spent import Command, spent
from table import renewed

_LAB: Final = "benchmark"
_HERE: Final = Path(__file__).parent
PARTS: Final = ("deploys", "rounds", "thousands")


def main() -> None:
    """Run the parts that were asked for, and write down what came out after each."""
    asked = _asked()
    folder = Path(asked.folder).resolve()
    kept = folder / "figures.json"
    figures: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() and asked.parts != list(PARTS) else {}
    begun = time.monotonic()
    parts: dict[str, Callable[[], Any]] = {"thousands": lambda: _thousands(folder, asked)}
    lab = folder / "lab"
    failed: list[str] = []
    needs_lab = {"deploys", "rounds"} & set(asked.parts)
    try:
        if needs_lab:
            _say("booting the slices")
            bench = _lab_up(lab, folder, asked)
            parts["deploys"] = lambda: deployed(bench, lab, _thirds(lab, asked.deploys))
            parts["rounds"] = lambda: rounds(bench, hosts(lab), asked.sizes)
        for part in asked.parts:
            _say(f"{part}, after {time.monotonic() - begun:.0f} s")
            try:
                figures[part] = parts[part]()
            except RuntimeError as error:  # the other parts are worth having without it
                _say(f"{part} failed: {error}")
                failed.append(part)
            figures |= _circumstances(time.monotonic() - begun)
            kept.write_text(json.dumps(figures, indent=1) + "\n")
    finally:
        if needs_lab and not asked.keep:
            _say("taking the slices down")
            _lab_down(lab)
    readme = ROOT / "README.md"
    readme.write_text(renewed(readme.read_text(), figures))
    _say(f"done after {time.monotonic() - begun:.0f} s; figures in {kept}, tables in README.md")
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bash tests/benchmark/run", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[10, 50, 100], help="slices of a round")
    parser.add_argument("--deploys", type=int, default=20, help="slices that each tool deploys to")
    parser.add_argument("--addresses", nargs="+", type=int, default=[1_000, 5_000, 10_000])
    parser.add_argument("--dead", nargs="*", default=["10000:60"], help="ADDRESSES:DEADLINE, a third dead")
    parser.add_argument("--keep", action="store_true", help="take the slices that are there, and leave them")
    parser.add_argument("--folder", default="/var/tmp/tfheal-benchmark", help="where everything is written")
    parser.add_argument("--peers", required=True, help="the programs of the peers; run fills it in")
    return parser.parse_args()


def _lab_up(lab: Path, folder: Path, asked: argparse.Namespace) -> Bench:
    if not asked.keep:
        _lab_down(lab)  # what a run that was killed left behind: a first deploy needs fresh slices
    lab.mkdir(parents=True, exist_ok=True)
    for name in ("tfheal.toml", "inventory.toml"):
        (lab / name).touch()
    wanted = max(*asked.sizes, 3 * asked.deploys)
    _tfheal_lab(lab, "up", "--slices", str(wanted), "--yes")
    return Bench(folder, Path(asked.peers), lab / f".tfheal/lab/{_LAB}/id_ed25519")


def _lab_down(lab: Path) -> None:
    lab.mkdir(parents=True, exist_ok=True)
    (lab / "tfheal.toml").touch()
    _tfheal_lab(lab, "down")
    shutil.rmtree(lab)


def _tfheal_lab(lab: Path, verb: str, *words: str) -> None:
    """Run a command on the lab, not measured: what is measured has all that it leaves behind ended, slices too."""
    command = program(lab, "lab", verb, "--name", _LAB, *words)
    environment = {**os.environ, **command.environment}
    subprocess.run(command.words, cwd=lab, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def _thirds(lab: Path, count: int) -> list[Any]:
    slices = hosts(lab)
    return [slices[start : start + count] for start in range(0, 3 * count, count)]


def _thousands(folder: Path, asked: argparse.Namespace) -> Any:  # noqa: ANN401 - figures as they come
    words = [*(str(count) for count in asked.addresses), *asked.dead]
    script = str(_HERE / "thousands.py")
    argv = ("unshare", "--net", sys.executable, script, str(folder / "thousands"), *words)
    made = spent(Command(argv, folder, {"PYTHONPATH": str(ROOT)}))
    return json.loads(made.output)


def _circumstances(seconds: float) -> dict[str, Any]:
    return {"date": today(), "machine": machine(), "seconds": round(seconds)}


def _say(words: str) -> None:
    sys.stderr.write(f"benchmark: {words}\n")


if __name__ == "__main__":
    main()
