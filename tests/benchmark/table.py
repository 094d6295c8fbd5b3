"""The figures as the README shows them: tables in Markdown between two markers."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from figures import between, markdown
from rounds import slope

_MARKERS: Final = ("<!-- benchmark: written by tests/benchmark/run -->\n", "<!-- end of benchmark -->\n")
_MIB: Final = 1 << 20
_OURS: Final = "tfheal status"
_LEAN: Final = "lean loop"


def renewed(readme: str, figures: Mapping[str, Any]) -> str:
    """Given the text of the README, return it with the tables of these figures."""
    return between(readme, _MARKERS, written(figures))


def written(figures: Mapping[str, Any]) -> str:
    """Return all that is there of the figures, in words and tables."""
    head = f"`bash tests/benchmark/run`, {figures['date']}, {figures['machine']}.\n"
    parts = {"rounds": _rounds, "deploys": _deploys, "thousands": _thousands}
    return "\n".join([head, *(write(figures[name]) for name, write in parts.items() if name in figures)])


def _rounds(figures: Mapping[str, Any]) -> str:
    found, forks = figures["tools"], figures["forks"]
    sizes = list(found[_OURS]["cold"])
    head = ["", f"seconds for {_listed(sizes)} slices", "again", "CPU at start"]
    head += ["CPU for each further slice", "again", f"memory at {sizes[-1]}"]
    rows = []
    for name, runs in found.items():
        steep, start = _line(runs["cold"])
        again = f"{1e3 * _line(runs['again'])[0]:.1f} ms" if len(runs["again"]) > 1 else "-"
        walls = [_walls(runs[kind], sizes) for kind in ("cold", "again")]
        peak = f"{runs['cold'][sizes[-1]]['peak'] / _MIB:.0f} MiB"
        rows.append([f"`{name}`", *walls, f"{start:.2f} s", f"{1e3 * steep:.1f} ms", again, peak])
    slopes = {name: _line(runs["cold"])[0] for name, runs in found.items()}
    ours = slopes[_OURS]
    factors = ", ".join(f"{slopes[name] / ours:.1f} for {name}" for name in slopes if name not in {_OURS, _LEAN})
    return (
        "One round over slices of the lab: `tfheal status` asks all its questions; the lean loop sends the same script with\n"
        "paramiko alone; the others run `true` or a module, unless the row says more. Client's CPU, everything it starts included; first with no\n"
        f"connection open, then again. Ansible has pipelining and the {forks} forks that it is quickest with here.\n\n{markdown(head, rows)}\n"
        f"A further slice costs tfheal {ours / slopes[_LEAN]:.2f} times what it costs the lean loop. Against tfheal: {factors}.\n"
    )


def _deploys(found: Mapping[str, Any]) -> str:
    tools = found["tools"]
    ours = tools["tfheal deploy"]
    head = ["", "first deploy", "CPU", "with nothing to do", "CPU", "against tfheal, with nothing to do"]
    rows = []
    for name, runs in tools.items():
        cells = [cell for kind in ("first", "unchanged") for cell in _cost(runs[kind])]
        times = (
            runs["unchanged"]["wall"] / ours["unchanged"]["wall"],
            runs["unchanged"]["cpu"] / ours["unchanged"]["cpu"],
        )
        rows.append([f"`{name}`", *cells, f"{times[0]:.1f} times the time, {times[1]:.1f} the CPU"])
    return (
        f"The copyparty example on {found['slices']} fresh slices for each tool, then again; a comparison of the slices shows that\n"
        f"all three made the same user, folders, files, environment, unit and service.\n\n{markdown(head, rows)}"
    )


def _thousands(found: Mapping[str, Any]) -> str:
    rows = []
    for each in (*found["living"], *found["dead"]):
        became = dict(each["became"])
        answered = became.pop("answered", 0)
        not_checked = became.pop("not-checked", 0)
        checked = each["hosts"] - not_checked
        rest = ", ".join(f"{count:,} {cause}" for cause, count in became.items()) or "-"
        row = [
            f"{each['hosts']:,}{', a third dead' if each in found['dead'] else ''}",
            f"{each['wall']:.1f} s",
            f"{each['cpu']:.1f} s",
        ]
        row += [
            f"{1e3 * each['cpu'] / max(1, checked):.1f} ms",
            f"{each['peak'] / _MIB:.0f} MiB",
            f"{answered:,}",
            rest,
        ]
        rows.append([*row, f"{not_checked:,}"])
    (lean,) = found["lean"]
    head = ["addresses", "round", "CPU", "CPU for each", "memory", "answered", "silent or refused", "not checked"]
    deadlines = _listed(sorted({round(each["deadline"]) for each in found["dead"]}))
    return (
        "`tfheal status` over many addresses of one OpenSSH server on loopback, which answers at once and shares the cores.\n"
        f"The lean loop needs {1e3 * lean['cpu'] / lean['hosts']:.1f} ms for each of {lean['hosts']:,}. Of the dead a third refuses, a third drops "
        f"every packet, a third connects and\nsays nothing; then the round may take {deadlines} s.\n\n{markdown(head, rows)}"
    )


def _walls(runs: Mapping[Any, Any], sizes: Sequence[Any]) -> str:
    return ", ".join(f"{runs[size]['wall']:.1f}" if size in runs else "-" for size in sizes)


def _line(runs: Mapping[Any, Any]) -> tuple[float, float]:
    return slope([(float(size), figures["cpu"]) for size, figures in runs.items()])


def _cost(figures: Mapping[str, Any]) -> tuple[str, str]:
    return f"{figures['wall']:.1f} s", f"{figures['cpu']:.1f} s"


def _listed(words: Sequence[Any]) -> str:
    said = [str(word) for word in words]
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


if __name__ == "__main__":
    sys.stdout.write(written(json.loads(Path(sys.argv[1]).read_text())))
