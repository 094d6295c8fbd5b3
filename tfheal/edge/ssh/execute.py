"""One exec: the script goes in, both streams come back as they come, capped, under one deadline over everything."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.message import Message

from tfheal.base.errors import ActionFailed, BadReply, ConnectionLost, RemoteTimeout
from tfheal.edge.ssh.deadline import Deadline
from tfheal.edge.ssh.mapping import ours
from tfheal.edge.ssh.remote import ENDED
from tfheal.model.lease import HEARTBEAT
from tfheal.model.ports import Exec, Reply
from tfheal.model.ssh import SshSettings

_CHUNK: Final = 1 << 15
_READ: Final = 1 << 18
_LINGER: Final = 0.5  # how long output may still come after the exit status, if something holds the streams open
_PROMPT: Final = 0.05  # how late it may be seen that what is sent is over
_STUCK: Final = 0.2  # how long one write may wait before output is looked at again


@dataclass(frozen=True, slots=True)
class Call:
    """One exec on its way: the slice it is for, the command that reads the script there, and what was asked for."""

    where: str
    command: str
    order: Exec


@dataclass(slots=True)
class _Stream:
    """One direction of output: what is kept of it, and how much there was."""

    cap: int
    kept: bytearray = field(default_factory=bytearray)
    seen: int = 0
    lines_end: int = 0

    def take(self, data: bytes) -> None:
        self.seen += len(data)
        self.kept += data[: max(0, self.cap - len(self.kept))]

    def new_lines(self) -> list[bytes]:
        """Return the lines that became complete since the last call; what is beyond the cap is nobody's line."""
        end = self.kept.rfind(b"\n", self.lines_end) + 1
        if end <= self.lines_end:
            return []
        fresh = bytes(self.kept[self.lines_end : end - 1])
        self.lines_end = end
        return fresh.split(b"\n")


def execute(channel: paramiko.Channel, call: Call, settings: SshSettings, abort: Callable[[], None]) -> Reply:
    """Given a fresh channel, run what was asked for on it and return its reply.

    Raise RemoteTimeout if the slice ended it at its time-out, ConnectionLost if the slice fell silent, BadReply if
    there is no end to its output. `abort` cuts the connection: it wakes a write that is stuck in a full buffer.
    """
    order = call.order
    begun = time.monotonic()
    deadline = Deadline(order.timeout + settings.grace)
    watchdog = threading.Timer(deadline.left() + 2 * _LINGER, abort)
    watchdog.daemon = True
    watchdog.start()
    try:
        talk = _Talk(channel, call, settings)
        talk.send(deadline)
        status = talk.listen(deadline)
    finally:
        watchdog.cancel()
    seconds = time.monotonic() - begun
    if status in ENDED and seconds >= order.timeout:
        raise RemoteTimeout(
            "it outlived its time-out and was ended there", where=call.where, why=f"{order.timeout:g} s"
        )
    return talk.reply(status, seconds)


class _Talk:
    """The two sides of one exec."""

    def __init__(self, channel: paramiko.Channel, call: Call, settings: SshSettings) -> None:
        self._channel = channel
        self._where = call.where
        self._command = call.command
        self._order = call.order
        self._flood = settings.flood
        self._silence = settings.silence if call.order.on_line else None
        self._stdout = _Stream(call.order.cap)
        self._stderr = _Stream(call.order.cap)
        self._last_data = self._last_beat = time.monotonic()
        # One event for both streams: set by the library when data or the end comes, cleared when a read empties one.
        self._wake = threading.Event()
        channel.in_buffer.set_event(self._wake)
        channel.in_stderr_buffer.set_event(self._wake)

    def send(self, deadline: Deadline) -> None:
        """Ask for the command and send the script, reading meanwhile; a command that ends early is not an error."""
        with ours("talk", self._where):
            self._channel.settimeout(_STUCK)
            _request(self._channel, self._command)
        script = self._order.script.encode()
        for start in range(0, len(script), _CHUNK):
            if not self._send_all(script[start : start + _CHUNK], deadline):
                return
        if not self._order.beats:
            with ours("talk", self._where):
                self._channel.shutdown_write()

    def listen(self, deadline: Deadline) -> int:
        """Read until the command has ended and return its exit status, -1 if a signal ended it."""
        self._last_data = time.monotonic()  # on a slow line the script alone may have taken long
        while True:
            ended = self._channel.eof_received or self._channel.closed
            answered = self._channel.exit_status_ready()
            self._drain()
            if answered and (ended or time.monotonic() - self._last_data > _LINGER):
                return self._status()
            self._give_up_if_past(deadline)
            self._beat()
            self._give_up_if_silent()
            waited_for = self._channel.status_event if ended else self._wake
            waited_for.wait(min(_PROMPT if self._order.over else _LINGER, deadline.left()))

    def reply(self, status: int, seconds: float) -> Reply:
        """Return what came back."""
        streams = (self._stdout, self._stderr)
        truncated = any(stream.seen > len(stream.kept) for stream in streams)
        return Reply(bytes(self._stdout.kept), bytes(self._stderr.kept), status, seconds, truncated)

    def _send_all(self, data: bytes, deadline: Deadline) -> bool:
        """Send a piece of the script; return whether the other side still reads."""
        while data:
            try:
                with ours("talk", self._where):
                    sent = self._channel.send(data)
            except ConnectionLost as error:
                if self._channel.closed and self._channel.get_transport().is_active():
                    return False
                if not isinstance(error.__cause__, TimeoutError):
                    raise
                sent = 0
                self._give_up_if_past(deadline)
            data = data[sent:]
            self._drain()
        return True

    def _beat(self) -> None:
        """Say that we are still here, if it is time to; whether it was heard shows in what comes back."""
        if self._order.over is not None and self._order.over():
            with ours("talk", self._where):
                self._channel.shutdown_write()
            return
        if not self._order.beats or time.monotonic() - self._last_beat < HEARTBEAT:
            return
        self._last_beat = time.monotonic()
        with suppress(OSError, paramiko.SSHException):  # a command that reads no more, or a connection that is gone
            self._channel.send(b"\n")

    def _drain(self) -> None:
        """Take what has come; drop what exceeds the caps, so that the other side never waits for us."""
        channel = self._channel
        with ours("talk", self._where):
            while channel.recv_ready():
                self._stdout.take(channel.recv(_READ))
                self._last_data = time.monotonic()
            while channel.recv_stderr_ready():
                self._stderr.take(channel.recv_stderr(_READ))
                self._last_data = time.monotonic()
        if self._stdout.seen + self._stderr.seen > self._flood:
            why = f"more than {self._flood} bytes"
            raise BadReply("there was no end to its output", where=self._where, why=why)
        if self._order.on_line is not None:
            for line in self._stdout.new_lines():
                self._order.on_line(line)

    def _give_up_if_past(self, deadline: Deadline) -> None:
        if deadline.passed():
            why = f"no end after {self._order.timeout:g} s and the time it had to stop"
            hint = "it ends its commands itself; what this one did is not known"
            raise ConnectionLost("it fell silent", where=self._where, why=why, hint=hint)

    def _give_up_if_silent(self) -> None:
        if self._silence is not None and time.monotonic() - self._last_data > self._silence:
            why = f"nothing came for {self._silence:g} s, not even a sign of life"
            hint = "how far it came is not known; the next look shows it"
            raise ConnectionLost("it fell silent", where=self._where, why=why, hint=hint)

    def _status(self) -> int:
        channel = self._channel
        if channel.exit_status >= 0:
            return channel.exit_status
        if not channel.get_transport().is_active():
            error = channel.get_transport().get_exception()
            why = str(getattr(error, "strerror", "") or "the connection was closed")
            raise ConnectionLost("the connection was lost", where=self._where, why=why)
        if not channel.event_ready:
            hint = "is a forced command or a shell without commands set for this user?"
            raise ActionFailed("it refuses to run commands", where=self._where, hint=hint)
        return channel.exit_status


def _request(channel: paramiko.Channel, command: str) -> None:
    """Ask for a command without waiting for the answer, which would cost a round trip: a refusal closes the channel."""
    message = Message()
    message.add_byte(cMSG_CHANNEL_REQUEST)
    message.add_int(channel.remote_chanid)
    message.add_string("exec")
    message.add_boolean(b=True)
    message.add_string(command)
    # exec_command would wait for the answer, and without a limit.
    channel.get_transport()._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001
