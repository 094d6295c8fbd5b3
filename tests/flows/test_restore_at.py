"""A restore to a moment while the server did not hand over all of before it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from databases import FILES, PARTS, SPEC
from stored import Answers, deployed

from tfheal.base.errors import BadReply, Refused
from tfheal.flows.fleet import Limits
from tfheal.flows.restore import Wish, planned, restore


@pytest.mark.parametrize("lives", [True, False])
def test_what_its_server_still_has_is_not_left_out_in_silence(tmp_path: Path, *, lives: bool) -> None:
    """One that lives can be brought to hand it over: refused. One that does not stands in the way of nothing, and it is said."""
    said = {"message_type": "handed over", "whole": False, "lives": lives, "since": "2026-01-02T03:03:00Z"}

    def answer(_: str, script: str) -> Answers:
        return {2: (0, json.dumps(said))} if "restore_point" in script else {2: (0, "nonsense")}

    with deployed(tmp_path, SPEC, answer, FILES) as fleet:
        fleet.took("1", "a1", ago=600, what=PARTS)
        asked = fleet.watch.at - timedelta(seconds=1)
        plan = planned(fleet.workspace, "rows", Wish(at=asked), fleet.ports)
        with pytest.raises(Refused if lives else BadReply, match="hand over" if lives else "cannot be read"):
            restore(fleet.workspace, plan, Wish(at=asked), fleet.ports, Limits())
        told = "rows/db@a1: what its server changed since 2026-01-02T03:03:00Z was not handed over, and is not in it"
        assert fleet.watch.said == [] if lives else [told]
        early = planned(fleet.workspace, "rows", Wish(at=asked - timedelta(minutes=3)), fleet.ports)
        with pytest.raises(BadReply):
            restore(fleet.workspace, early, Wish(), fleet.ports, Limits())
