"""A folder behind an address on this machine, for what downloads."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"


class _SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Keep stderr for what is tested."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The URL that serves the folder within the context. It is reached with ``no_proxy=127.0.0.1``."""
    with ThreadingHTTPServer((HOST, 0), partial(_SilentHandler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_port}/"
        server.shutdown()
