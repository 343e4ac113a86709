"""Sets up this process, and those that it starts, before a pipeline runs."""

from __future__ import annotations

import os

from apache_beam.io.filesystems import FileSystems

from melbeam.pipelines.beam_options import RunnerChoice
from melbeam.pipelines.private_names import keep_elements_whole, silence_local_workers

_GRPC_PROXY_EXCEPTIONS = "no_grpc_proxy"  # gRPC reads it before no_proxy, and in lower case only


def prepare_process(choice: RunnerChoice) -> None:
    """Sets this process up for a pipeline that runs where `choice` says."""
    FileSystems.set_options(choice.options)  # for the plan, which is made before there is a pipeline
    if choice.local:
        silence_local_workers()
        keep_elements_whole()
        _spare_localhost_the_proxy()


def _spare_localhost_the_proxy() -> None:
    """Beam's workers speak gRPC with one another, which asks an http_proxy for localhost too: nothing answers."""
    exceptions = os.environ.get(_GRPC_PROXY_EXCEPTIONS) or os.environ.get("no_proxy", "")
    names = [name for name in exceptions.split(",") if name]
    if "localhost" not in names:
        os.environ[_GRPC_PROXY_EXCEPTIONS] = ",".join([*names, "localhost"])
