"""The Python SDK on a served pool: an adapter for its connections, a pool for its fixtures."""

import contextlib
import os
import socket
import threading

from plushie.connection import Connection
from plushie.testing.pool import SessionPool
from plushie.transport import IoStreamAdapter


class ServedAdapter(IoStreamAdapter):
    """A connection to the pool named by PLUSHIE_SOCKET, or by ``address``.

    The SDK's own ``SocketAdapter`` reads through a buffer that waits for 4,096 bytes before it
    hands out any, so hello and most answers stay in it. It also closes that buffer while its
    thread reads, which waits until something arrives.
    """

    def __init__(self, address: str | None = None, **options) -> None:
        address = address or os.environ["PLUSHIE_SOCKET"]
        if address.startswith("/"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self._socket = socket.create_connection((host.strip("[]"), int(port)))
        # Unbuffered: a read returns what there is.
        reader = self._socket.makefile("rb", buffering=0)
        super().__init__(reader, self._socket.makefile("wb"), **options)

    def close(self) -> None:
        # The thread that reads holds the socket open until its read returns. It must have ended
        # before the descriptor is free: it could read from the next connection that gets it.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        if self._reader_thread is not threading.current_thread():
            self._reader_thread.join()
        super().close()
        self._socket.close()


def connect(**options):
    """A connection with the API of the SDK's ``Connection``, its greeting over."""
    connection = Connection.from_iostream(
        ServedAdapter(), token=os.environ.get("PLUSHIE_TOKEN"), **options
    )
    connection.send_settings()
    connection.wait_hello()
    return connection


class ServedPool(SessionPool):
    """The SDK's test pool, its sessions on one connection to the served pool."""

    def __init__(self) -> None:
        most = int(os.environ.get("PLUSHIE_TEST_MAX_SESSIONS", "8"))
        super().__init__(max_sessions=most)

    def start(self) -> None:
        self._conn = connect()
