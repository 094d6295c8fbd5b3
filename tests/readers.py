"""People who read a page behind a gateway, and tell an announced answer of a closed app from one that failed."""

import contextlib
import http.client
from functools import partial

from visiting import Visiting

Answered = tuple[int, str, bool]


def asked(address: str, name: str) -> Answered:
    """Ask a gateway for a name; return the status, what was said, and whether that is the announced answer of a closed app."""
    connection = http.client.HTTPConnection(address, 80, timeout=40)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers={"Host": name})
        answer = connection.getresponse()
        closed = (answer.headers.get("X-Maintenance"), answer.headers.get("Retry-After")) == ("yes", "30")
        return answer.status, answer.read().decode(), closed


class Readers(Visiting):
    """Readers in two threads, who count what they were answered until they are told to stop."""

    def __init__(self, address: str, name: str) -> None:
        """Keep whom to ask, and for which name."""
        self.answered, self.closed, self.failed = 0, 0, list[str]()
        super().__init__([partial(self._read, address, name)] * 2)

    def _read(self, address: str, name: str) -> None:
        while not self._over.wait(0.03):
            try:
                status, said, closed = asked(address, name)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                continue
            if status == 200:
                self.answered += 1
            elif closed:
                self.closed += 1
            else:
                self.failed.append(f"{status} {said}")
