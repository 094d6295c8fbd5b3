"""One controller and thousands of addresses: how a round grows, and how it ends when a third of them is dead.

Run in a network namespace of its own (`unshare --net`), where all of 127.0.0.0/8 answers and a firewall rule bothers
nobody: one OpenSSH server lets one key in and answers at once with the reply that a real probe gave here. So the load is
the controller's, and the server's share of this machine is as small as OpenSSH permits. Prints its figures as JSON.
"""

import base64
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from contenders import TOGETHER, Bench, Host, lean, program, workspace
from spent import spent

from tfheal.core.probe import machine
from tfheal.core.probe.script import composed

_PORT: Final = 2222
_CLOSED: Final = 2223
_SILENT: Final = 2224
_DROPPED: Final = "127.200"
_MARKER: Final = "0123456789abcdef" * 2
_PER_NET: Final = 250
_FILES: Final = 16_384
_ANSWER: Final = """\
marker=$(sed -n 's/^marker=//p')
exec sed "s/%s/$marker/" %s
"""
_CONFIG: Final = """\
Port {port}
ListenAddress 0.0.0.0
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
LogLevel QUIET
MaxStartups 1000
SetEnv HOME={folder}
ForceCommand exec sh {folder}/answer.sh
"""
_DROP: Final = """\
table inet benchmark {{
  chain output {{ type filter hook output priority 0; ip daddr {net}.0.0/16 drop; }}
}}
"""


def addresses(count: int, net: str = "127.100") -> Iterator[str]:
    """Yield so many addresses of loopback."""
    first, second = (int(part) for part in net.split("."))
    for number in range(count):
        nets, host = divmod(number, _PER_NET)
        yield f"{first}.{second + nets // _PER_NET}.{nets % _PER_NET}.{host + 1}"


def fleet(count: int, key: str, *, dead: bool) -> list[Host]:
    """Return so many hosts; if some are dead, each third is: refused, dropped and silent in turn."""
    living = [Host(f"s{number}", address, _PORT, key) for number, address in enumerate(addresses(count), 1)]
    if not dead:
        return living
    dropped = addresses(count, _DROPPED)
    kinds = (
        lambda host: Host(host.name, host.address, _CLOSED, key),
        lambda host: Host(host.name, next(dropped), _PORT, key),
        lambda host: Host(host.name, host.address, _SILENT, key),
    )
    return [kinds[number // 3 % 3](host) if number % 3 == 0 else host for number, host in enumerate(living)]


def measured(bench: Bench, which: Sequence[Host], server: int, deadline: float) -> dict[str, Any]:
    """Return what one round over some hosts cost, and what became of them."""
    folder = workspace(bench.of(f"round-{len(which)}"), which, bench.key, f"[ssh]\nround_timeout = {deadline}\n")
    result = spent(program(folder, "status", "--json", well=frozenset({0, 4, 7})), frozenset({server}))
    told = json.loads(result.output)
    causes = Counter("answered" if each["reachable"] else each["cause"] for each in told["slices"])
    return {"hosts": len(which), "deadline": deadline, **result.figures, "became": causes}


@contextlib.contextmanager
def server(folder: Path) -> Iterator[tuple[int, str]]:
    """Run the server until the block ends; yield its process and its host key."""
    for name in ("host", "client"):
        (folder / name).unlink(missing_ok=True)
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    (folder / "reply").write_bytes(_reply())
    (folder / "answer.sh").write_text(_ANSWER % (_MARKER, folder / "reply"))
    (folder / "config").write_text(_CONFIG.format(port=_PORT, folder=folder))
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    # -r: no second start of the program for each connection, which would be half of its cost.
    argv = [shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-r", "-f", str(folder / "config")]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        _wait_until_it_answers()
        yield process.pid, " ".join((folder / "host.pub").read_text().split()[:2])
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def dead_ends() -> Iterator[None]:
    """Let some addresses drop every packet, and some ports take connections and say nothing, until the block ends."""
    subprocess.run(["nft", "-f", "-"], input=_DROP.format(net=_DROPPED).encode(), check=True)
    held: list[socket.socket] = []
    with socket.create_server(("0.0.0.0", _SILENT), backlog=4096) as silent:  # noqa: S104 - in a namespace of its own

        def hold() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(silent.accept()[0])

        threading.Thread(target=hold, daemon=True).start()
        yield
        silent.shutdown(socket.SHUT_RDWR)
    for each in held:
        each.close()


def main() -> None:
    """Measure what the arguments say: `COUNT`, or `COUNT:DEADLINE` with a third of them dead."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder, Path(), folder / "client")
    _raise_limits()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    found: dict[str, list[dict[str, Any]]] = {"lean": [], "living": [], "dead": []}
    with server(folder) as (process, key), dead_ends():
        for word in sys.argv[2:]:
            count, _, deadline = word.partition(":")
            if deadline:
                found["dead"].append(measured(bench, fleet(int(count), key, dead=True), process, float(deadline)))
                continue
            which = fleet(int(count), key, dead=False)
            if not found["lean"]:
                cost = spent(lean(bench, which), frozenset({process}))
                found["lean"].append({"hosts": len(which), "together": TOGETHER, **cost.figures})
            found["living"].append(measured(bench, which, process, 3600.0))
    sys.stdout.write(json.dumps(found) + "\n")


def _raise_limits() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_FILES, most), most))


def _reply() -> bytes:
    """Return what this machine answers to a real probe, but for its clock; no updates are counted."""
    script = composed((machine.QUESTION,), _MARKER, 40.0)
    reply = subprocess.run(["sh"], input=script.encode(), capture_output=True, check=True).stdout
    number, said, *rest = next(line for line in reply.split(b"\n") if line.startswith(_MARKER.encode())).split()[1:]
    timeless = re.sub(rb"^now .*\n", b"", base64.b64decode(said))
    frames = [(number, base64.b64encode(timeless), *rest), (b"1", b"", b"0", b"1.00", b"1.00"), (b"end",)]
    return b"".join(b" ".join((_MARKER.encode(), *frame)) + b"\n" for frame in frames)


def _wait_until_it_answers() -> None:
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", _PORT), 1) as probe:
            if probe.recv(4) == b"SSH-":
                return
        time.sleep(0.05)
    msg = "sshd did not start"
    raise RuntimeError(msg)


if __name__ == "__main__":
    os.umask(0o077)
    main()
