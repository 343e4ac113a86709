"""Google's side for tests: a service that records Dataflow jobs and gives tokens, and an account for it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Recorder(ThreadingHTTPServer):
    """Stands for Dataflow's service, and for the one that gives tokens; keeps the jobs that are created."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RecorderHandler)
        self.jobs: list[dict[str, Any]] = []
        self.url = f"http://localhost:{self.server_address[1]}"  # "localhost" has Beam's client speak REST
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _RecorderHandler(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer: dict[str, Any] = {}
        if self.path.endswith("/token"):
            answer = {"access_token": "rehearsal", "expires_in": 3600, "token_type": "Bearer"}
        elif self.path.split("?")[0].endswith("/jobs"):
            job = json.loads(body)
            self.server.jobs.append(job)
            answer = {"id": f"rehearsal-{len(self.server.jobs)}", "currentState": "JOB_STATE_PENDING"}
            answer |= {name: job[name] for name in ("name", "clientRequestId") if name in job}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: object) -> None:
        pass


def service_account(path: Path, token_uri: str) -> None:
    """The key file of an account that no service knows: with one, the client searches for no other."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "rehearsal",
        "client_email": "rehearsal@example.com",
        "private_key": pem.decode(),
        "token_uri": token_uri,
    }
    path.write_text(json.dumps(account))
