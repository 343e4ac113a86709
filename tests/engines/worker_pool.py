"""Beam's worker pool, as Kubernetes deployments run it beside a task manager, but for this machine only.

    python worker_pool.py --service_port=PORT

Beam's own binds to every interface, and starts each worker with the `python` that is first on the PATH.
"""

import sys

import grpc
from apache_beam.runners.worker import worker_pool_main

_make_server = grpc.server


def _local_server(*args, **kwargs):
    server = _make_server(*args, **kwargs)
    bind = server.add_insecure_port
    server.add_insecure_port = lambda address: bind(address.replace("[::]", "127.0.0.1"))
    return server


if __name__ == "__main__":
    grpc.server = _local_server
    worker_pool_main.main(sys.argv[1:])
