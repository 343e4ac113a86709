"""An HTTP proxy before a store's emulator that fails as networks and stores do."""

import threading
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}
_TIMEOUT_SECONDS = 60


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        server = self.server
        body = self._body()
        fault = server.fault(self.command, self.path)
        if fault is not None:
            server.faults.append((self.command, self.path, fault))
            if fault == "drop":
                self.close_connection = True
                self.connection.close()
                return
        if fault not in (None, "cut"):
            self._answer(fault, {"Content-Type": "text/plain"}, b"" if self.command == "HEAD" else b"a fault")
            return
        connection = HTTPConnection("127.0.0.1", server.target, timeout=_TIMEOUT_SECONDS)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            if self.command == "HEAD":
                kept["Content-Length"] = answer.getheader("Content-Length", "0")
            if fault == "cut":
                kept["Content-Length"], data = str(len(data)), data[: len(data) // 2]
                self.close_connection = True
            self._answer(answer.status, kept, data)
        except (OSError, HTTPException):
            self.close_connection = True
        finally:
            connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _pass_on

    def _body(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def handle_expect_100(self):
        return True  # `_body` says it

    def _answer(self, status, headers, data):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextmanager
def faulty_proxy(target, fault):
    """A proxy of a local port.

    Args:
        target: the port.
        fault: of a method and a path: None passes the request on; an HTTP status; "drop"; or "cut",
            which passes it on and breaks off in the middle of the answer.

    Yields:
        The proxy's port, and the list of the faults so far.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.target, server.fault, server.faults = target, fault, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], server.faults
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
