"""A database on a real slice: who gets in and how, what is put back, what is never made anew, and what is left."""

import shlex
from collections.abc import Iterator

import pytest
from on_slice import Answer, OnSlice
from releases import the_step

from tfheal.core.resources import Step
from tfheal.model.release import secret_token

pytestmark = [pytest.mark.lab, pytest.mark.long]

WORD = "the-word-of-the-writer"
PACKAGES = {"kind": "packages", "names": ["postgresql-17"]}
HBA = "/etc/postgresql/17/main/pg_hba.conf"
RULES = "/etc/postgresql/17/main/tfheal/notes.conf"
LISTEN = "/etc/postgresql/17/main/conf.d/tfheal.conf"


def sql(statement: str, database: str = "postgres") -> str:
    """Return sh that has the server's administrator run a statement."""
    user = "cd /; setpriv --reuid=postgres --regid=postgres --init-groups"
    return f"{user} psql -XqAt -d {database} -c {shlex.quote(statement)}"


def a_database(*peers: str, word: str = WORD, name: str = "notes") -> Step:
    """Return the step of a database that is reached from some peers."""
    token = secret_token("password", 1)
    fields = {"kind": "postgres", "database": name, "role": name, "password": token, "peers": list(peers)}
    return the_step(fields, {("password", 1): word})


def asks(database: str, mode: str, word: str = WORD) -> str:
    """Return sh that asks the database over the network, from the slice's own address, and prints who asks."""
    address = "$(ip -6 -o addr show scope global | sed -n 's/.*inet6 \\([^/]*\\).*/\\1/p' | head -n 1)"
    target = f"host={address} dbname={database} user={database} sslmode={mode}"
    return f'PGPASSWORD={word} psql -XAt "{target}" -c "SELECT current_user"'


@pytest.fixture(scope="module")
def server(machine: OnSlice) -> Iterator[OnSlice]:
    """Have PostgreSQL on the slice, and purge it at the end."""
    machine.do("mkdir -p /var/lib/tfheal")
    machine.done(the_step(PACKAGES))
    yield machine
    machine.do(
        "DEBIAN_FRONTEND=noninteractive apt-get purge -q -y 'postgresql*' >/dev/null 2>&1;"
        "rm -rf /var/lib/postgresql /etc/postgresql; systemctl reset-failed"
    )


@pytest.fixture
def ours(server: OnSlice) -> OnSlice:
    """Have one database that the slice itself may ask over the network."""
    step = a_database("::/0")
    if server.check(step).status:
        server.done(step)
    return server


def test_peers_get_in_over_tls_with_the_password_and_nobody_else(ours: OnSlice) -> None:
    """Another password, no TLS, another address and another database are refused."""
    assert ours.do(asks("notes", "require")) == "notes\n"
    assert ours.do(asks("notes", "require channel_binding=require")) == "notes\n"
    assert "password authentication failed" in ours.sh(asks("notes", "require", "guessed")).said
    assert "no encryption" in ours.sh(asks("notes", "disable")).said
    assert ours.sh(asks("postgres", "require")).status != 0
    ours.done(a_database("fd00:dead::/32"))
    assert "no pg_hba.conf entry" in ours.sh(asks("notes", "require")).said


def test_a_new_password_replaces_the_old_one(ours: OnSlice) -> None:
    """The check sees that the stored verifier is another's, and only the new password works then."""
    step = a_database("::/0", word="another-word")
    ours.differs(step, "the password differs")
    ours.done(step)
    assert ours.do(asks("notes", "require", "another-word")) == "notes\n"
    assert ours.sh(asks("notes", "require")).status != 0


@pytest.mark.parametrize(
    ("damage", "detail"),
    [
        (f"rm {RULES}", "access rules: missing"),
        (f"echo 'host all all ::/0 trust' >>{RULES}", "access rules: content differs"),
        (f"sed -i /include_dir/d {HBA}", "does not include the access rules"),
        (f"chmod 644 {RULES}", "mode is 644"),
        (f"rm {LISTEN}; systemctl restart postgresql@17-main", "listens on localhost"),
        (f"touch {RULES}", "has not read its settings"),
        (sql("ALTER ROLE notes SUPERUSER"), "other rights"),
        (sql("ALTER ROLE notes NOLOGIN"), "other rights"),
        (sql("ALTER ROLE notes PASSWORD 'hacked'"), "the password differs"),
        (sql("ALTER DATABASE notes OWNER TO postgres"), "belongs to postgres"),
        (sql("GRANT CONNECT ON DATABASE notes TO PUBLIC"), "every role may connect"),
        ("rm -r /var/lib/tfheal/notes", "not on record"),
    ],
)
def test_it_is_put_back(ours: OnSlice, damage: str, detail: str) -> None:
    """Whatever of it was changed; and what it holds stays."""
    ours.do(sql("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS one", "notes"))
    ours.heals(a_database("::/0"), damage, detail)
    assert ours.do(asks("notes", "require")) == "notes\n"
    assert ours.do(sql("SELECT one FROM kept", "notes")) == "1\n"


def test_a_database_that_is_gone_is_not_made_anew(ours: OnSlice) -> None:
    """It held data: that is said, and nothing is put in its place until somebody makes it by hand."""
    ours.do(sql("DROP DATABASE notes"))
    step = a_database("::/0")
    answer = ours.check(step)
    assert (answer.status, answer.said) == (1, "missing, and it held data\n")
    ours.refuses(step, "it held data")
    ours.do(sql("CREATE DATABASE notes"))
    ours.done(step)


def test_a_server_that_does_not_run_is_unknown_and_started_by_an_apply(ours: OnSlice) -> None:
    """Nothing is concluded from silence."""
    step = a_database("::/0")
    ours.do("systemctl stop postgresql@17-main")
    answer = ours.check(step)
    assert (answer.status, "does not answer" in answer.said) == (2, True), answer
    ours.done(step)


def test_a_start_that_never_ends_is_begun_anew(ours: OnSlice) -> None:
    """Its processes are gone, and a systemd that is told of no empty group waits for them: an apply has the server up."""
    unit, drop_in = "postgresql@17-main.service", "/run/systemd/system/postgresql@17-main.service.d"
    ours.do(f"""systemctl stop {unit} && mkdir -p {drop_in}
printf '[Service]\\nExecStart=\\nExecStart=/bin/sh -c "sleep 1 & :"\\n' >{drop_in}/none.conf
systemctl daemon-reload && systemctl start --no-block {unit} && sleep 2
rm -r {drop_in} && systemctl daemon-reload
[ "$(systemctl show -P ActiveState {unit})" != active ]""")
    ours.done(a_database("::/0"))
    assert ours.do(asks("notes", "require")) == "notes\n"


def test_the_last_one_leaves_the_server_as_it_was(server: OnSlice) -> None:
    """Another database stays reachable; with the last the server listens as before, and its files are the package's."""
    assert server.remove(a_database()) == Answer(0, "")
    before = server.do(f"cat {HBA}; ls -A /etc/postgresql/17/main/conf.d")
    first, second = a_database("::/0"), a_database("::/0", name="other")
    server.done(first)
    server.done(second)
    assert server.remove(first) == Answer(0, "")
    assert server.do(asks("other", "require")) == "other\n"
    assert server.remove(second) == Answer(0, "")
    assert server.remove(second) == Answer(0, "")
    assert server.do(f"cat {HBA}; ls -A /etc/postgresql/17/main/conf.d") == before
    assert server.do(sql("SHOW listen_addresses")) == "localhost\n"
    assert server.do(sql("SELECT rolname FROM pg_roles WHERE rolname IN ('notes', 'other')")) == ""


def test_a_database_killed_at_every_command_is_finished_by_the_next_run(server: OnSlice) -> None:
    """Half-made is not broken: the server runs with rules that parse, whatever was reached."""
    step = a_database("::/0")
    before = (step.remove or "").replace("exec 2>&1", "")
    sound = sql("SELECT 1 / (count(*) = 0)::int FROM pg_hba_file_rules WHERE error IS NOT NULL")
    try:
        assert server.killed_everywhere(step, before, sound, first=3, every=7) > 10
    finally:
        server.remove(step)
