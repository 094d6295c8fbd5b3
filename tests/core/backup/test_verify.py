"""Whether what is stored is whole: what restic's words amount to, how long ago it was read, and what is due."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tfheal.base.errors import ActionFailed
from tfheal.core.backup import verify
from tfheal.core.backup.job import TaskReply
from tfheal.model.verification import SHARES, WHOLE, Verification

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
DAY = 86_400.0
ONE, TWO = "1" * 64, "2" * 64
BEGUN = Verification("files", "s1", NOW, 1, sound=False)


def summary(errors: int) -> str:
    """Return restic's last word on a check."""
    return json.dumps({"message_type": "summary", "num_errors": errors})


def judged(status: int | None, out: str, there: str = f"{ONE}\n", found: str = "", err: str = "") -> Verification:
    """Judge a reading of a repository that must have one snapshot."""
    replies = {
        verify.LIST: TaskReply(0, there, ""),
        verify.READ: TaskReply(status, out, err),
        verify.TOUCHED: TaskReply(0, found, ""),
    }
    return verify.judged(BEGUN, replies, {ONE}, {ONE})


def read(days: float, share: int, *, sound: bool = True) -> Verification:
    """Return a reading of a share so many days ago."""
    return replace(BEGUN, at=NOW - timedelta(days=days), share=share, sound=sound)


def test_sound_is_what_restic_read_and_where_no_snapshot_is_gone() -> None:
    """A snapshot that is gone is damage though the check is content; one that nobody knows is counted."""
    assert judged(0, summary(0)) == replace(BEGUN, sound=True)
    assert judged(0, summary(0), f"{ONE}\n{TWO}\nrubbish\n").unknown == 1
    gone = judged(0, summary(0), f"{TWO}\n")
    assert (gone.sound, gone.touched) == (False, ("snapshot 11111111 is gone",))


def test_damage_names_what_it_touches() -> None:
    """Each file and snapshot once; what was cut off, or is not restic's, is left out."""
    one = {"object_type": "blob", "path": "/srv/a\x1b", "snapshot": ONE}
    found = (
        json.dumps([one, one, {"path": 7, "snapshot": ONE}, {"path": "/b", "snapshot": "x"}])[:-1] + ', {"path": "/c'
    )
    err = json.dumps({"message_type": "error", "message": "pack 12 contains 2 errors"})
    damaged = judged(1, summary(1), found=found, err=err)
    assert (damaged.sound, damaged.detail) == (False, "pack 12 contains 2 errors")
    assert damaged.touched == ("/srv/a\\x1b in snapshot 11111111",)
    assert not judged(1, summary(0)).sound, "an exit status is not believed alone"


@pytest.mark.parametrize(("status", "out"), [(12, summary(1)), (0, ""), (None, ""), (1, "")])
def test_what_could_not_be_read_is_not_damage(status: int | None, out: str) -> None:
    """A wrong password, an old restic or a job that was cut says nothing about what is stored."""
    with pytest.raises(ActionFailed):
        judged(status, out)


def test_the_share_that_was_not_read_for_longest_is_next() -> None:
    """The shares go around; after all was read they begin anew; another slice's do not count."""
    past: list[Verification] = []
    for turn in range(2 * SHARES):
        share = verify.next_share(past, "s1")
        assert share == turn % SHARES + 1
        past.append(read(20 - turn, share))
    assert verify.next_share([*past, read(0, WHOLE)], "s1") == 1
    assert verify.next_share(past, "s2") == 1


def test_one_is_due_each_day_of_eight() -> None:
    """The rotation is over before the limit is; what was damaged is not read again at each tick."""
    assert verify.is_due([], "s1", 8 * DAY, NOW)
    assert not verify.is_due([read(0.9, 1)], "s1", 8 * DAY, NOW)
    assert verify.is_due([read(1, 1)], "s1", 8 * DAY, NOW)
    assert not verify.is_due([read(0.001, 1, sound=False)], "s1", 60.0, NOW)


def test_the_payload_is_as_old_as_its_oldest_share() -> None:
    """The structure counts from the last sound reading; the payload from the share that was read longest ago."""
    rotation = [read(SHARES - share, share) for share in range(1, SHARES + 1)]
    found = verify.proof(rotation, ["s1"], 8 * DAY, NOW)
    assert (found.structure, found.payload) == (0, 6 * DAY)
    assert verify.late(found, NOW, NOW) == ""
    assert verify.proof(rotation[1:], ["s1"], 8 * DAY, NOW).payload is None
    assert verify.proof(rotation, ["s1", "s2"], 8 * DAY, NOW).structure is None
    later = NOW + timedelta(days=2.5)
    old = verify.proof(rotation, ["s1"], 8 * DAY, later)
    told = verify.late(old, NOW, later)
    assert "structure was last read 216000 s ago" in told
    assert "payload was last read 734400 s ago" in told
    none = verify.proof([], ["s1"], 8 * DAY, NOW)
    assert "payload was never read as a whole" in verify.late(none, NOW - timedelta(days=9), NOW)
    assert verify.late(none, NOW - timedelta(days=1), NOW) == ""


def test_damage_stands_until_what_was_damaged_is_sound() -> None:
    """Another share that is sound says nothing about it; the same one, or all of it, does."""
    past = [read(3, 1, sound=False), read(2, 2)]
    assert verify.damaged(past) == (past[0],)
    assert verify.damaged([*past, read(1, 1)]) == ()
    assert verify.damaged([*past, read(1, WHOLE)]) == ()
    assert verify.damaged([read(3, WHOLE, sound=False), read(2, 2)]) != ()
