"""What a gateway's slice says of certificates is data; one is a finding when it is of no use, or soon will be and was not renewed."""

from datetime import UTC, datetime

import pytest

from tfheal.base.errors import ActionFailed, BadReply, Refused
from tfheal.core.certificates import certificates, challenge, ended, question, root, told
from tfheal.model.certificate import Certificate
from tfheal.model.release import InstanceName
from tfheal.render.certificates import certificates_document

M = "0123456789abcdef0123456789abcdef"
EDGE = InstanceName("edge", "gateway", "s3")
DAY = 86_400
NOW = datetime.fromtimestamp(1_000 * DAY, UTC)
AT = 1_000 * DAY


@pytest.mark.parametrize(
    ("held", "cause"),
    [
        (Certificate("a.example", "acme", AT - DAY, AT + 89 * DAY), ""),
        (Certificate("a.example", "acme", AT - 60 * DAY, AT + 30 * DAY, due=True), ""),
        (Certificate("a.example", "acme", AT - 70 * DAY, AT + 20 * DAY, due=True, why="away"), "certificate-expiring"),
        (Certificate("a.example", "acme", AT - 4 * DAY, AT + 2 * DAY), ""),
        (Certificate("a.example", "acme", AT - 5 * DAY, AT + DAY), "certificate-expiring"),
        (Certificate("a.example", "internal", AT - 90 * DAY, AT), "certificate-expired"),
        (Certificate("given", "given", AT - DAY, AT + 22 * DAY), ""),
        (Certificate("given", "given", AT - DAY, AT + 20 * DAY), "certificate-expiring"),
        (Certificate("a.example", "none", AT, AT + 3_650 * DAY, due=True), "certificate-missing"),
    ],
)
def test_when_a_certificate_is_a_finding(held: Certificate, cause: str) -> None:
    """One that is renewed in time is none; a short-lived one is not late for having little time."""
    found = list(told((held,), NOW))
    assert [one.cause for one in found] == ([cause] if cause else [])
    assert all(held.why in one.detail for one in found)


def test_what_a_slice_says_is_read() -> None:
    """Among noise, and with what an authority said made harmless."""
    lines = [
        "a.example acme 10 20 yes 30 ZmFpbGVkGwo=",
        "b.example none 1 2 no 0",
        "c.example forged 1 2 no 0",
        "../x acme 1 2 no 0",
        "d.example acme 999999999999 20 no 0",
        "d.example acme 10 999999999999 no 0",
        "d.example none 10 20 no 253402300800",
    ]
    hosts = ("a.example", "b.example", "c.example", "d.example", "../x")
    reply = "".join(f"{M} certificate {line}\n" for line in lines) + "certificate d.example acme 1 2 no 0\n"
    first, second = certificates(reply.encode(), EDGE, hosts, M)
    assert (first.host, first.source, first.begins, first.ends, first.due, first.again) == (
        "a.example",
        "acme",
        10,
        20,
        True,
        30,
    )
    assert first.why.startswith("failed")
    assert "\x1b" not in first.why
    assert second == Certificate("b.example", "none", 1, 2)
    with pytest.raises(Refused):
        certificates(f"{M} paused\n".encode(), EDGE, hosts, M)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a.example acme 1 2 yes 0", [Certificate("a.example", "acme", 1, 2, due=True)]),
        ("crm.bob.example acme 1 2 yes 0", []),
        ("crm.bob.example none 1 2 yes 0", []),
        ("crm.bob.example given 1 2 yes 0", []),
        ("given acme 1 2 yes 0", []),
        ("given given 1 2 yes 0", [Certificate("given", "given", 1, 2)]),
        (
            "a.example none 1 2 yes 0\n{M} certificate a.example acme 1 2 no 0",
            [Certificate("a.example", "none", 1, 2, due=True)],
        ),
    ],
)
def test_a_slice_tells_of_its_own_names_alone(line: str, found: list[Certificate]) -> None:
    """A name of somebody else's is nothing that its gateway has a certificate of, whatever the slice says; nor is one told twice."""
    reply = f"{M} certificate {line.replace('{M}', M)}\n{M} end\n".encode()
    assert list(certificates(reply, EDGE, {"a.example"}, M)) == found


def test_what_an_authority_asks_for() -> None:
    """Only what can stand in a record is published; else it says why there is none."""
    value = "-abcdefghijklmnopqrstuvwxyzABCDE0123456789_"
    assert challenge(f"{M} challenge {value}\n".encode(), EDGE, M) == value
    for said, error in (
        ("failed YXdheQ==", ActionFailed),
        ('challenge "; rm', BadReply),
        (f"challenge {value}x", BadReply),
        ("challenge --config=/etc/shadow.of.our.own", BadReply),
        (f"challenge {value[:-1]}", BadReply),
        ("", BadReply),
    ):
        with pytest.raises(error):
            challenge(f"{M} {said}\n".encode(), EDGE, M)
    assert challenge(f"{M} done\n".encode(), EDGE, M) is None, "it saw before that the name is ours"
    ended(f"{M} done\n".encode(), EDGE, M)
    with pytest.raises(Refused):
        ended(f"{M} paused\n".encode(), EDGE, M)


def test_an_authority_of_its_own_shows_a_certificate_and_nothing_else() -> None:
    """A key, or anything else, is not handed out."""
    with pytest.raises(Refused):
        root(f"{M} root LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==\n".encode(), EDGE, M)


def test_a_gateway_without_tls_is_asked_nothing_that_fails() -> None:
    """A gateway that was deployed by an older tfheal has no such program."""
    assert '[ ! -x "$program" ] ||' in question(EDGE, M)


def test_any_time_that_is_believed_can_be_told() -> None:
    """The last second that there is stands for no end, as certificates write it; a later one is none."""
    (found,) = certificates(
        f"{M} certificate a.example none 1 253402300799 no 253402300799\n".encode(), EDGE, {"a.example"}, M
    )
    assert "tried again at 9999-12-31T23:59:59Z" in next(told((found,), NOW)).detail
    assert "9999-12-31T23:59:59Z" in str(certificates_document({EDGE: (found,)}, ()))
