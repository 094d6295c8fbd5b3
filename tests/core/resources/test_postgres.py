"""What PostgreSQL is told: who gets in, and the verifier of a password in place of the password."""

import base64
import hashlib
import hmac

import pytest
from releases import a_release, the_step

from tfheal.base.errors import UsageError
from tfheal.core.resources.postgres import access_rules, verifier
from tfheal.model.release import secret_token
from tfheal.model.resources import Postgres

TOKEN = secret_token("password", 1)
SECRETS = {("password", 1): "nobody-shall-see-this"}


def a_database(**changes: object) -> dict[str, object]:
    """Return a database as a release holds it."""
    return {"kind": "postgres", "database": "notes", "role": "writer", "password": TOKEN, **changes}


def test_peers_become_access_rules() -> None:
    """Each address and network has a line: TLS alone, this database and role alone, with the password."""
    database = Postgres.model_validate(a_database(peers=["fd00::1, 10.0.0.0/8", "10.9.0.1"]))
    assert access_rules(database).splitlines() == [
        'hostssl "notes" "writer" fd00::1/128 scram-sha-256',
        'hostssl "notes" "writer" 10.0.0.0/8 scram-sha-256',
        'hostssl "notes" "writer" 10.9.0.1/32 scram-sha-256',
    ]
    assert access_rules(Postgres.model_validate(a_database())) == ""


def test_the_verifier_is_that_of_the_standard() -> None:
    """The keys in it give the proof and the signature of the exchange in RFC 7677."""
    made = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    head, _, keys = made.rpartition("$")
    assert head == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    message = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}".encode()
    signature = base64.b64encode(hmac.digest(server, message, "sha256")).decode()
    assert signature == "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, message, "sha256"), strict=True))
    assert hashlib.sha256(client).digest() == stored


def test_the_password_is_in_no_script() -> None:
    """The slice of the database never gets it; another version of the secret makes other scripts."""
    step = the_step(a_database(), SECRETS)
    scripts = step.check + step.apply + (step.remove or "")
    assert "nobody-shall-see-this" not in scripts
    assert step.check != the_step(a_database(), {("password", 1): "another"}).check
    assert step.holds_data


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"database": "no-tes"}, "not a name"),
        ({"database": "postgres"}, "not a name"),
        ({"role": "pg_monitor"}, "not a name"),
        ({"role": "x" * 64}, "not a name"),
        ({"role": 'a"; DROP'}, "not a name"),
        ({"password": "written down"}, "is a secret"),
        ({"peers": ["all"]}, "no address or network"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], why: str) -> None:
    """Names of PostgreSQL's own or with other signs, a password that is none of the secrets, a peer that is no address."""
    with pytest.raises(UsageError, match=why):
        the_step(a_database(**changes), SECRETS)


def test_the_salt_differs_by_app_and_role() -> None:
    """Two roles with one password do not store the same."""
    assert len({the_step(a_database(role=role), SECRETS).check.split("verifier=")[1][:40] for role in ("a", "b")}) == 2
    assert a_release(a_database()).secrets() == {("password", 1)}
