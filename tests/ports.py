"""Ports for servers that a test starts in separate processes."""

import contextlib
import socket
from collections.abc import Iterator

# Outside the ports that Ray gives to workers, and outside those that the system gives to clients.
PORTS = range(21000, 29000)


@contextlib.contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Yield ports on which nobody listens. No other caller gets them until this ends, in whichever process.

    A server listens seconds after its port is chosen. Two servers that chose at the same time once got the
    same port, and one of them failed. So a caller listens on the first port of a block, which makes the other
    ports of the block its own.
    """
    for first in range(PORTS.start, PORTS.stop, count + 1):
        with contextlib.ExitStack() as tried, socket.socket() as guard:
            try:
                guard.bind(("", first))
                guard.listen()
                for port in range(first + 1, first + 1 + count):
                    # Ray also listens on this machine's own address, which a look at the loopback does not
                    # show.
                    tried.enter_context(socket.socket()).bind(("", port))
            except OSError:
                continue
            tried.close()
            yield list(range(first + 1, first + 1 + count))
            return
    raise RuntimeError(f"no {count} free ports in a row from {PORTS.start} to {PORTS.stop}")
