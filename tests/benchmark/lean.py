"""The least that Python can do: connect, check the one host key, log in, send a script, read the reply; 32 at once.

It takes the file that says whom to ask as its only argument, and prints how many answered. Its keys are parsed once, it
asks no agent and reads no configuration: what tfheal costs more than this is the price of everything else that it does.
"""

import json
import queue
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

import paramiko

_CHUNK: Final = 1 << 16


def ask(host: dict[str, Any], key: paramiko.PKey, script: bytes) -> bytes:
    """Given a host and a script, return what the host answers."""
    with socket.create_connection((host["address"], host["port"]), 10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(line)
        try:
            transport.get_security_options().key_types = (host["host_key"].split()[0],)
            transport.start_client(timeout=10)
            shown = transport.get_remote_server_key()
            if f"{shown.get_name()} {shown.get_base64()}" != host["host_key"]:
                msg = f"{host['name']} shows another key"
                raise RuntimeError(msg)
            transport.auth_publickey("root", key)
            channel = transport.open_session()
            channel.exec_command("sh")
            channel.sendall(script)
            channel.shutdown_write()
            reply = b""
            while data := channel.recv(_CHUNK):
                reply += data
            return reply
        finally:
            transport.close()


def main() -> None:
    """Ask all hosts of a file."""
    asked = json.loads(Path(sys.argv[1]).read_text())
    key = paramiko.PKey.from_path(asked["key"])
    script = Path(asked["script"]).read_bytes()
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for host in asked["hosts"]:
        waiting.put(host)
    replies: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                host = waiting.get_nowait()
            except queue.Empty:
                return
            replies.put(ask(host, key, script).endswith(b" end\n"))

    threads = [threading.Thread(target=work) for _ in range(asked["together"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{sum(replies.get() for _ in range(replies.qsize()))}\n")


if __name__ == "__main__":
    main()
