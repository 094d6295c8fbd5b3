"""The rows as the README shows them: reads the book of a run in a folder, and writes the tables; `tests/faults/run` does it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from book import kept, latest, ours
from catalogue import in_the_lab
from expectations import doubles, expected
from figures import between, machine, markdown, today
from grounds import TARGETS
from peers import CONTENDERS

ROOT: Final = Path(__file__).resolve().parents[2]
Rows = Sequence[dict[str, Any]]
_MARKERS: Final = ("<!-- fault table: written by tests/faults/run -->\n", "<!-- end of fault table -->\n")
_GOAL: Final = 15.0  # seconds from fault to service back, the median
_HEAD: Final = (
    "fault",
    "on",
    "landed",
    "detected as",
    "rungs",
    "seconds until served again",
    "requests failed",
    "writes lost",
    "actions",
    "second run idle",
    "ended",
)


def main() -> None:
    """Read the rows, write the tables, and end with 1 if a goal was missed."""
    folder = Path(sys.argv[1])
    found = latest(kept(folder))
    (folder / "rows.json").write_text(json.dumps(found, indent=1) + "\n")
    text = written(found, f"`{sys.argv[2]}`, {sys.argv[3]}")
    (folder / "tables.md").write_text(text)
    if "--no-readme" not in sys.argv:
        readme = ROOT / "README.md"
        readme.write_text(between(readme.read_text(), _MARKERS, text))
    sys.stdout.write(text)


def written(found: Rows, made: str) -> str:
    """Given all rows and how they were made, return the tables and what became of the goals."""
    tables = {name: [row for row in found if row["table"] == name] for name in ("each", "two", "restraint", "peers")}
    parts = [f"{made}, {today()}, {machine()}.\n", goals(found)]
    titles = {"each": _EACH, "two": _TWO, "restraint": _RESTRAINT}
    parts += [f"{titles[name]}\n\n{_table(tables[name])}" for name in titles if tables[name]]
    parts += [not_there(), against_peers(tables["peers"])] if tables["peers"] else [not_there()]
    return "\n".join(part for part in parts if part)


_EACH: Final = (
    "Every fault on every instance of the examples that can have it (copyparty `files/web`; Tryton `crm/db`, `crm/web`): a client\n"
    "outside tfheal writes and reads twice a second by the app's own protocol, the local reflex is on, `heal --auto` runs every\n"
    "10 s. The seconds are from the client's first request that failed to the first that went well for good; every write that\n"
    "was acknowledged is read again at the end. `left` and `paged` rows are mended by hand."
)
_TWO: Final = "Two at once:"
_RESTRAINT: Final = "And where to do nothing, or to stop, is right:"


def goals(found: Rows) -> str:
    """Return what was aimed for, and whether it was met, in words."""
    faults = [row for row in found if row["table"] in {"each", "two"}]
    healed = sorted(row["seconds"] for row in faults if row["ended"] == "healed" and row["seconds"] is not None)
    mine = [row for row in found if ours(row)]
    lost = sum(row["lost"] or 0 for row in mine)
    unread = [row["name"] for row in mine if row["lost"] is None and row["written"]]
    wrong = [f"{row['name']} on {row['where']}: {deed}" for row in faults for deed in row["wrong"]]
    missed = [
        f"{row['name']} on {row['where']} ({'; '.join(row['missed'])})" for row in found if row["missed"] and ours(row)
    ]
    middle = f"{median(healed):.1f} s (of {len(healed)})" if healed else "unknown"
    met = healed and median(healed) < _GOAL
    right = len(mine) - len(missed)
    lines = [
        f"- as expected, {right} rows of {right + len(missed)}: " + _verdict(missed),
        f"- no acknowledged write lost, of {sum(row['written'] for row in mine):,}: "
        + (
            "met"
            if not lost and not unread
            else f"missed: {lost} lost, not read again after {', '.join(unread) or 'none'}"
        ),
        "- no wrong action: " + _verdict(wrong),
        f"- the median from fault to service back under {_GOAL:.0f} s: {'met' if met else 'missed'}, {middle}",
    ]
    return "What was aimed for, and what became of it:\n\n" + "\n".join(lines) + "\n"


def _verdict(missed: Sequence[str]) -> str:
    return "met" if not missed else f"missed: {_cell('; '.join(missed), 900)}"


def not_there() -> str:
    """Return which faults cannot be put where, in words."""
    told = [
        f"`{fault}` on `{target}` ({said.absent})"
        for target in TARGETS
        for fault in in_the_lab()
        if (said := expected(fault, target)) and said.absent
    ]
    return f"Not to be had: {', '.join(told)}.\n"


def against_peers(found: Rows) -> str:
    """Return the table of the contenders: how often each brought it back within a minute, and the median seconds."""
    names = [one.name for one in CONTENDERS]
    rows = []
    for fault in dict.fromkeys(row["name"] for row in found):
        mine = [row for row in found if row["name"] == fault]
        rows.append([f"`{fault}`", mine[0]["detected"][0], *(_brought(mine, name) for name in names)])
    lost = {name: sum(row["lost"] or 0 for row in found if row["where"] == name) for name in names}
    totals = [_brought(list(found), name) for name in names]
    return (
        "Against others, in the same run, copyparty's faults of process, service and files, each three times: how often the client\n"
        "was served again within 60 s, and the median of the seconds of those. systemd alone has `Restart=always` after 1 s and its\n"
        "default start limit; Monit looks every 10 s, restarts what is not there or does not answer, frees the disk, and puts back\n"
        "configuration, release and unit file from a copy that was kept for it (`tests/faults/peers.py`).\n\n"
        + markdown(["fault", "of", *names], [*rows, ["all", "", *totals]])
        + "\nWrites lost: "
        + ", ".join(f"{name} {count}" for name, count in lost.items())
        + ".\n"
    )


def _brought(found: Rows, name: str) -> str:
    mine = [row for row in found if row["where"] == name and row["landed"]]
    back = sorted(row["seconds"] for row in mine if row["ended"] == "back" and row["seconds"] is not None)
    unnoticed = len([row for row in mine if row["ended"] == "back" and row["seconds"] is None])
    told = f"{len(back) + unnoticed} of {len(mine)}"
    return f"{told}, {median(back):.1f} s" if back else told


def _table(found: Rows) -> str:
    order = {name: index for index, name in enumerate(doubles())}
    rows = sorted(found, key=lambda row: (order.get(row["name"], 0), row["name"], row["where"]))
    return markdown(_HEAD, [_row(row) for row in rows])


def _row(row: dict[str, Any]) -> list[str]:
    idle = {True: "yes", False: "no", None: "-"}[row["idle"]]
    name = row["name"] if " " in row["name"] else f"`{row['name']}`"
    ended = row["ended"] if not row["missed"] else f"{row['ended']}; **missed**: {_cell('; '.join(row['missed']))}"
    return [
        name,
        f"`{row['where']}`",
        "yes" if row["landed"] else "-" if row["table"] == "restraint" else "no",
        ", ".join(row["detected"]) or "-",
        _cell(_counted(row["rungs"])) or "-",
        "-" if row["seconds"] is None else f"{row['seconds']:.1f}",
        f"{row['failed']} of {row['requests']}" if row["requests"] else "-",
        "-" if row["lost"] is None else str(row["lost"]),
        str(row["actions"]),
        idle,
        ended,
    ]


def _counted(rungs: Sequence[str]) -> str:
    counts = {rung: rungs.count(rung) for rung in rungs}
    return ", ".join(rung if count == 1 else f"{rung} {count} times" for rung, count in counts.items())


def _cell(text: str, most: int = 200) -> str:
    plain = " ".join(text.replace("|", "/").split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


if __name__ == "__main__":
    main()
