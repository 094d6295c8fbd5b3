"""The transport against a real sshd: what comes back, how a slice is found, and who is let in."""

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from build import a_slice
from real_sshd import CAP, QUICK, Sshd, command_lines_with, free_port, make_key

from tfheal.base.errors import ConnectFailed, HostKeyMismatch, LoginFailed, Refused, Unreachable, UsageError
from tfheal.edge.ssh import execute
from tfheal.edge.ssh.route import Routes
from tfheal.model.inventory import Slice
from tfheal.model.ports import Exec
from tfheal.model.ssh import fingerprint


def said(sshd: Sshd, script: str, target: Slice | None = None) -> bytes:
    """Return the stdout of a script."""
    return sshd.transport().run(target or sshd.slice(), Exec(script, timeout=10, cap=CAP)).stdout


def test_reply_holds_both_streams_the_status_and_the_time(sshd: Sshd) -> None:
    """A reply keeps stdout and stderr apart, and has the exit status of the script."""
    reply = sshd.transport().run(sshd.slice(), Exec("echo out; echo err >&2; exit 7", timeout=10, cap=CAP))
    assert (reply.stdout, reply.stderr, reply.status, reply.truncated) == (b"out\n", b"err\n", 7, False)
    assert 0 < reply.seconds < 10


def test_script_is_on_no_command_line(sshd: Sshd) -> None:
    """A secret in a script is in no process list of the slice while it runs."""
    seen: list[list[int]] = []
    sshd.transport().run(
        sshd.slice(),
        Exec(
            "word=tell-nobody; echo ready; sleep 0.2",
            timeout=10,
            cap=CAP,
            on_line=lambda _: seen.append(command_lines_with("tell-nobody")),
        ),
    )
    assert seen == [[]]


def test_script_of_many_megabytes_arrives_whole(sshd: Sshd) -> None:
    """A script larger than the window of the channel is sent as the slice reads it."""
    blob = "x" * (5 << 20)
    assert said(sshd, f"main() {{ v='{blob}'; echo ${{#v}}; }}; main").strip() == str(5 << 20).encode()


def test_script_that_ends_before_it_was_read_still_has_its_reply(sshd: Sshd) -> None:
    """A shell that exits early does not make the rest of the script an error."""
    reply = sshd.transport().run(sshd.slice(), Exec("exit 3\n" + "# filler\n" * 900_000, timeout=10, cap=CAP))
    assert reply.status == 3


def test_lines_are_told_as_they_come(sshd: Sshd) -> None:
    """Progress is heard while the script still runs."""
    heard: list[tuple[bytes, float]] = []
    begun = time.monotonic()
    sshd.transport().run(
        sshd.slice(),
        Exec(
            "echo first; sleep 0.6; printf 'second\\npart'",
            timeout=10,
            cap=CAP,
            on_line=lambda line: heard.append((line, time.monotonic() - begun)),
        ),
    )
    assert [line for line, _ in heard] == [b"first", b"second"]
    assert heard[1][1] - heard[0][1] > 0.4


def test_who_asks_for_beats_hears_that_we_are_here(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stdin stays open and gets an empty line now and then; without them it is at its end as soon as all is sent."""
    monkeypatch.setattr(execute, "HEARTBEAT", 0.2)
    script = 'main() { for try in 1 2 3; do read -r beat && echo "heard $beat" || echo end; done; exit; }; main'
    target, transport = sshd.slice(), sshd.transport()
    assert transport.run(target, Exec(script, timeout=10, cap=CAP, beats=True)).stdout == b"heard \n" * 3
    assert transport.run(target, Exec(script, timeout=10, cap=CAP)).stdout == b"end\n" * 3


def test_error_of_the_listener_is_passed_on_unchanged(sshd: Sshd) -> None:
    """What the caller's own function raises is not taken for an error of the connection."""

    def listener(line: bytes) -> None:
        raise OSError(5, f"cannot show {line.decode()}")

    with pytest.raises(OSError, match="cannot show hello"):
        sshd.transport().run(sshd.slice(), Exec("echo hello", timeout=10, cap=CAP, on_line=listener))


def test_several_execs_share_one_connection(make_sshd: Callable[..., Sshd]) -> None:
    """Within a run, a slice is logged into once, also by several threads."""
    sshd = make_sshd()
    transport = sshd.transport()
    threads = [
        threading.Thread(target=transport.run, args=(sshd.slice(), Exec("sleep 0.2", timeout=10, cap=CAP)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    transport.run(sshd.slice(), Exec("true", timeout=10, cap=CAP))
    assert sshd.log().count("Accepted publickey") == 1


def test_connection_that_died_is_opened_anew_before_a_script_is_sent(sshd: Sshd) -> None:
    """A kept connection that is gone costs one more login and nothing else."""
    transport = sshd.transport()
    transport.run(sshd.slice(), Exec("true", timeout=10, cap=CAP))
    transport._sessions[sshd.slice()]._line.cut()
    assert transport.run(sshd.slice(), Exec("echo again", timeout=10, cap=CAP)).stdout == b"again\n"


def test_no_more_connections_are_kept_than_permitted(sshd: Sshd) -> None:
    """The slices that were used longest ago make room for others."""
    names = [f"s{number}" for number in range(1, 6)]
    transport = sshd.transport(replace(QUICK, connections=2), sshd.pins(*names))
    for name in names:
        transport.run(sshd.slice(name), Exec("true", timeout=10, cap=CAP))
    assert [one.name for one in transport._sessions if isinstance(one, Slice)] == ["s4", "s5"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
def test_address_can_be_of_either_family_or_a_name(sshd: Sshd, address: str) -> None:
    """An IPv6 literal is written without brackets, and a name is tried at each of its addresses."""
    assert said(sshd, "echo here", sshd.slice(address=address)) == b"here\n"


def test_ssh_config_says_what_the_inventory_does_not(sshd: Sshd, home: Path) -> None:
    """HostName, Port, User and IdentityFile of ~/.ssh/config apply."""
    config = f"Host crm\n HostName 127.0.0.1\n Port {sshd.port}\n User root\n IdentityFile {sshd.folder}/client\n"
    (home / ".ssh" / "config").write_text(config + " ForwardAgent ${NO_SUCH}\n ConnectTimeout 10s\n")
    assert said(sshd, "echo here", sshd.slice(address="crm", port=None, key=None)) == b"here\n"


def test_ssh_config_may_include_other_files(tmp_path: Path, home: Path) -> None:
    """Include is followed, relative to ~/.ssh and by pattern, and the block around it goes on after it."""
    (home / ".ssh" / "more").mkdir()
    (home / ".ssh" / "more" / "a").write_text("Host one\n Port 2201\nHost two\n Port 2202\n")
    (home / ".ssh" / "more" / "b").write_text("Host three\n Port 2203\n")
    (home / ".ssh" / "config").write_text(
        "Include more/* nowhere\nHost four\n Include = ~/.ssh/more/b\n Port 2204\nUser me"
    )
    routes = Routes(tmp_path)
    ports = {
        name: routes.of(a_slice(name, address=name)).target.port for name in ("one", "two", "three", "four", "five")
    }
    assert ports == {"one": 2201, "two": 2202, "three": 2203, "four": 2204, "five": 22}
    assert [routes.of(a_slice(name, address=name)).target.user for name in ("four", "five")] == ["me", "root"]


def test_ssh_config_that_includes_itself_is_a_mistake(tmp_path: Path, home: Path) -> None:
    """Files that include each other are told, and not followed for ever."""
    (home / ".ssh" / "config").write_text("Include config\n")
    with pytest.raises(UsageError, match="without end"):
        Routes(tmp_path).of(a_slice())


def test_inventory_wins_over_ssh_config(sshd: Sshd, home: Path) -> None:
    """What the inventory says explicitly is not changed by ~/.ssh/config."""
    (home / ".ssh" / "config").write_text(f"Host *\n Port {free_port()}\n User nobody\n")
    assert said(sshd, "echo here", sshd.slice(user="root")) == b"here\n"


def test_identity_file_of_one_host_is_not_offered_to_another(sshd: Sshd, home: Path) -> None:
    """The key that ~/.ssh/config names for one customer's machine stays unknown to every other."""
    config = f"Host one\n HostName 127.0.0.1\n Port {sshd.port}\n IdentityFile {sshd.folder}/client\n"
    (home / ".ssh" / "config").write_text(config + f"Host two\n HostName 127.0.0.1\n Port {sshd.port}\n")
    transport = sshd.transport(pins=sshd.pins("s1", "s2"))
    transport.run(sshd.slice(address="one", port=None, key=None), Exec("true", timeout=10, cap=CAP))
    with pytest.raises(LoginFailed, match="no key to offer"):
        transport.run(sshd.slice("s2", address="two", port=None, key=None), Exec("true", timeout=10, cap=CAP))


def test_broken_ssh_config_is_the_operators_mistake(sshd: Sshd, home: Path) -> None:
    """A ~/.ssh/config that does not parse is said to be wrong, whatever slice is asked."""
    (home / ".ssh" / "config").write_text("Host x\n Port twenty\nnonsense\n")
    with pytest.raises(UsageError):
        said(sshd, "true", sshd.slice(address="x", port=None))


@pytest.mark.parametrize("hops", ["root@127.0.0.1:{port}", "root@[::1]:{port},root@127.0.0.1:{port}"])
def test_jump_hosts_are_passed_in_order(sshd: Sshd, home: Path, hops: str) -> None:
    """A slice behind one or two jump hosts is reached through them, their keys checked against the operator's file."""
    key = sshd.host_key()
    known = "".join(f"[{host}]:{sshd.port} {key}\n" for host in ("127.0.0.1", "::1"))
    (home / ".ssh" / "known_hosts").write_text(known)
    (home / ".ssh" / "config").write_text(f"Host *\n IdentityFile {sshd.folder}/client\n")
    target = sshd.slice(proxy_jump=hops.format(port=sshd.port))
    seen = said(sshd, "echo $SSH_CONNECTION", target).split()
    assert seen[3] == str(sshd.port).encode()
    assert sshd.log().count("Accepted publickey") >= 2 + hops.count(",")


def test_slices_behind_a_jump_host_share_one_connection_to_it(make_sshd: Callable[..., Sshd], home: Path) -> None:
    """However many slices are asked at once, their jump host sees one login."""
    jump, behind = make_sshd(), make_sshd()
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{jump.port} {jump.host_key()}\n")
    (home / ".ssh" / "config").write_text(f"Host *\n IdentityFile {jump.folder}/client\n")
    names = [f"s{number}" for number in range(1, 5)]
    transport = behind.transport(pins=behind.pins(*names))
    replies: list[bytes] = []

    def ask(name: str) -> None:
        target = behind.slice(name, proxy_jump=f"root@127.0.0.1:{jump.port}")
        replies.append(transport.run(target, Exec("echo here", timeout=10, cap=CAP)).stdout)

    threads = [threading.Thread(target=ask, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [b"here\n"] * 4
    assert jump.log().count("Accepted publickey") == 1


def test_jump_host_of_ssh_config_and_its_unknown_key(sshd: Sshd, home: Path) -> None:
    """ProxyJump of ~/.ssh/config applies, and a jump host whose key nobody pinned is refused."""
    (home / ".ssh" / "config").write_text(f"Host ::1\n ProxyJump root@127.0.0.1:{sshd.port}\n")
    with pytest.raises(Refused, match="jump host") as caught:
        said(sshd, "true", sshd.slice(address="::1"))
    assert f"ssh -p {sshd.port} root@127.0.0.1" in caught.value.hint


def test_jump_host_that_does_not_reach_the_slice(sshd: Sshd, home: Path) -> None:
    """A tunnel that the jump host cannot make says so."""
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key()}\n")
    (home / ".ssh" / "config").write_text(f"Host *\n IdentityFile {sshd.folder}/client\n")
    with pytest.raises(ConnectFailed, match="jump host"):
        said(sshd, "true", sshd.slice(port=free_port(), proxy_jump=f"root@127.0.0.1:{sshd.port}"))


@pytest.mark.parametrize("written", ["a:b:c@", "root@", "host:port", "-oProxyCommand=x", "1,2,3,4,5,6,7,8,9,10"])
def test_jump_host_that_makes_no_sense_is_a_mistake(sshd: Sshd, home: Path, written: str) -> None:
    """A jump host that cannot be read is refused before anything is connected."""
    assert home.is_dir()
    with pytest.raises(UsageError):
        said(sshd, "true", sshd.slice(proxy_jump=written))


def test_proxy_command_of_ssh_config_carries_the_connection(sshd: Sshd, home: Path) -> None:
    """A ProxyCommand is run, and ends with the connection."""
    inner = f"ssh -F none -i {sshd.folder}/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    config = f"Host far\n ProxyCommand {inner} -q -W 127.0.0.1:{sshd.port} -p {sshd.port} root@127.0.0.1\n"
    (home / ".ssh" / "config").write_text(config)
    assert said(sshd, "echo here", sshd.slice(address="far", port=None)) == b"here\n"


def test_proxy_command_that_fails_is_no_connection(sshd: Sshd, home: Path) -> None:
    """A ProxyCommand that ends at once is reported quickly."""
    (home / ".ssh" / "config").write_text("Host far\n ProxyCommand false\n")
    with pytest.raises(ConnectFailed):
        said(sshd, "true", sshd.slice(address="far", port=None))


def test_slice_without_a_pin_is_refused(sshd: Sshd) -> None:
    """Nobody is connected to whose key was not pinned, and the message says how to pin it."""
    with pytest.raises(Refused, match="no host key is pinned") as caught:
        said(sshd, "true", sshd.slice("s9"))
    assert "tfheal slice trust s9" in caught.value.hint


def test_changed_host_key_names_both_fingerprints(sshd: Sshd, tmp_path: Path) -> None:
    """Another key than the pinned one ends the connection before the login."""
    other = " ".join(make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[:2])
    pins = sshd.pins()
    pins.pin("s1", (other,))
    before = sshd.log().count("Accepted publickey")
    with pytest.raises(HostKeyMismatch) as caught:
        sshd.transport(pins=pins).run(sshd.slice(), Exec("true", timeout=10, cap=CAP))
    assert fingerprint(other) in caught.value.why
    assert fingerprint(sshd.host_key()) in caught.value.why
    assert sshd.log().count("Accepted publickey") == before


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_server_is_asked_for_the_kind_of_key_that_is_pinned(sshd: Sshd, kind: str) -> None:
    """A server with several host keys shows the pinned one, whatever it would show by itself."""
    transport = sshd.transport(pins=sshd.pins("s1", kind=kind))
    assert transport.run(sshd.slice(), Exec("echo here", timeout=10, cap=CAP)).stdout == b"here\n"


def test_pinned_kind_that_is_gone_is_a_changed_key(make_sshd: Callable[..., Sshd]) -> None:
    """A server that has no key of the pinned kind any more was rebuilt: that is a mismatch, not a failed connection."""
    sshd = make_sshd(HostKeys="rsa")
    with pytest.raises(HostKeyMismatch) as caught:
        sshd.transport().run(sshd.slice(), Exec("true", timeout=10, cap=CAP))
    assert fingerprint(sshd.host_key("rsa")) in caught.value.why


def test_offered_keys_are_seen_without_logging_in(sshd: Sshd) -> None:
    """The host key of a slice can be shown before anybody trusts it: the preferred one, or one of every kind."""
    transport = sshd.transport(pins=sshd.pins())
    before = sshd.log().count("Accepted publickey")
    assert transport.offered(sshd.slice()) == (sshd.host_key(),)
    assert transport.offered(sshd.slice(), every=True) == tuple(map(sshd.host_key, ("ed25519", "ecdsa", "rsa")))
    assert sshd.log().count("Accepted publickey") == before


def test_wrong_user_key_says_what_was_offered(sshd: Sshd, tmp_path: Path) -> None:
    """A key that the slice does not know is named, with the place where it should be."""
    stranger = make_key(tmp_path / "stranger")
    with pytest.raises(LoginFailed) as caught:
        said(sshd, "true", sshd.slice(key=str(stranger)))
    assert str(stranger) in caught.value.why
    assert "authorized_keys of root" in caught.value.hint


@pytest.mark.parametrize("content", [None, "", "not a key\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_key_file_that_is_none_is_named(sshd: Sshd, tmp_path: Path, home: Path, content: str | None) -> None:
    """A missing, empty or damaged key file is a failed login that names the file."""
    assert home.is_dir()
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(LoginFailed, match="key"):
        said(sshd, "true", sshd.slice(key=str(tmp_path / "key")))


def test_relative_key_path_starts_at_the_workspace(sshd: Sshd) -> None:
    """A workspace can be moved with its keys."""
    assert said(sshd, "echo here", sshd.slice(key="client")) == b"here\n"


def test_key_with_a_passphrase_needs_the_agent_and_says_so(
    make_sshd: Callable[..., Sshd], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the agent the message says ssh-add; with it, the same key file lets us in."""
    locked = make_key(home / "locked", passphrase="open sesame")  # noqa: S106 - what the test is about
    sshd = make_sshd(AuthorizedKeysFile=f"{locked}.pub")
    target = sshd.slice(key=str(locked))
    with pytest.raises(LoginFailed, match="ssh-add"):
        said(sshd, "true", target)
    askpass = home / "askpass"
    askpass.write_text("#!/bin/sh\necho open sesame\n")
    askpass.chmod(0o700)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(home / "agent")], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
        while not (home / "agent").exists():
            time.sleep(0.01)
        for name, value in {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}.items():
            monkeypatch.setenv(name, value)
        subprocess.run(["ssh-add", "-q", str(locked)], check=True, stdin=subprocess.DEVNULL)
        assert said(sshd, "echo here", target) == b"here\n"
        (home / ".ssh" / "config").write_text("")
        assert said(sshd, "echo here", sshd.slice(key=None)) == b"here\n"
    finally:
        agent.terminate()
        agent.wait()


def test_agent_is_not_forwarded(sshd: Sshd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A customer's machine never gets hold of the operator's agent."""
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    assert said(sshd, "echo [$SSH_AUTH_SOCK]") == b"[]\n"


def test_server_that_wants_more_than_a_key(make_sshd: Callable[..., Sshd]) -> None:
    """A server that asks for a second factor is a failed login that says so."""
    sshd = make_sshd(AuthenticationMethods="publickey,password", PasswordAuthentication="yes")
    with pytest.raises(LoginFailed, match="password"):
        said(sshd, "true", sshd.slice())


def test_closed_transport_wakes_who_waits_on_it(sshd: Sshd) -> None:
    """Closing ends what is under way: Ctrl-C does not wait for a script."""
    transport = sshd.transport()
    threading.Timer(0.5, transport.close).start()
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        transport.run(sshd.slice(), Exec("sleep 20", timeout=30, cap=CAP))
    assert time.monotonic() - begun < 3
