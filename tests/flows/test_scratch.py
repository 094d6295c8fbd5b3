"""`restore --scratch`: which parts of a backup come, by component, and a path that is sought on every slice."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from stored import Answers, deployed

from tfheal.flows.fleet import Limits
from tfheal.flows.restore import Wish, planned, restore
from tfheal.model.backup import Restored

SPEC = """\
app: pair
owner: acme
playbook: pair
version: "1"
place: {one: [a1], two: [a1, a2]}
backup: {to: a3}
"""
PLAYBOOK = """\
playbook: pair
title: Two components with data
versions: {"1": lock.txt}
components:
  one: {data: [{name: data}], checks: [{name: up, kind: alive, tcp: 80}]}
  two: {data: [{name: data}], checks: [{name: up, kind: alive, tcp: 81}]}
"""
FILES = {"playbooks/pair/playbook.yaml": PLAYBOOK, "playbooks/pair/lock.txt": "# none\n"}
ONE, TWO = "/srv/tfheal/pair/one", "/srv/tfheal/pair/two"


def scratched(folder: Path, wish: Wish, *has: str) -> tuple[Restored, dict[str, set[str]]]:
    """Restore from slices of which some have what is sought; return the result, and what restic was asked for on each."""

    def answer(slice_name: str, _: str) -> Answers:
        return {2: (0, f'{{"message_type":"came","any":{str(slice_name in has).lower()}}}')}

    with deployed(folder, SPEC, answer, FILES) as fleet:
        made = fleet.took("1", "a1", "a2")
        fleet.ports.catalogue.put(replace(made, parts=tuple(replace(part, paths=(ONE, TWO)) for part in made.parts)))
        plan = planned(fleet.workspace, "pair", wish, fleet.ports)
        done = restore(fleet.workspace, plan, wish, fleet.ports, Limits())
        return done, {name: set(re.findall(r"--include (\S+)", script)) for name, script in fleet.slices.asked}


def test_a_component_is_all_that_comes(tmp_path: Path) -> None:
    """From the slices that it is on, and nothing of the other component there."""
    done, asked = scratched(tmp_path, Wish(component="one", scratch="/root/x"))
    assert (done.exit, asked) == (0, {"a1": {ONE}})


@pytest.mark.parametrize(
    ("has", "code", "outcomes"),
    [
        (("a1",), 0, ["pair/data@a1 done"]),
        (("a1", "a2"), 0, ["pair/data@a1 done", "pair/data@a2 done"]),
        ((), 5, [f"pair/data@{name} nothing of /srv/x is in it" for name in ("a1", "a2")]),
    ],
)
def test_a_path_is_found_where_it_is(tmp_path: Path, has: tuple[str, ...], code: int, outcomes: list[str]) -> None:
    """That one slice has nothing of it is no failure, as long as another has."""
    done, _ = scratched(tmp_path, Wish(scratch="/root/x", path="/srv/x"), *has)
    assert (done.exit, sorted(f"{name} {how}" for name, how in done.outcomes.items())) == (code, outcomes)
