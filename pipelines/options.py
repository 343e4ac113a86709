"""The command line of every job: arguments, a config file, Beam's own options, the runner."""

from __future__ import annotations

import argparse
import difflib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.worker import sdk_worker

from melbeam.transforms.plain_yaml import load_yaml

EXIT_OK, EXIT_FAILED, EXIT_REFUSED, EXIT_REJECTS = 0, 1, 2, 3

# FnApiRunner by name: "DirectRunner" would first try to download another runner.
LOCAL_RUNNER = "FnApiRunner"
_GRPC_PROXY_EXCEPTIONS = "no_grpc_proxy"  # gRPC reads it before no_proxy, and in lower case only
_REFUSED_RUNNERS = {
    "DaskRunner": "it loses data without an error (tagged outputs and finish_bundle output)",
}


class UsageError(ValueError):
    """The call was wrong: exit status 2."""


def parse(
    add_arguments: Callable[[argparse.ArgumentParser], None], prog: str, description: str, argv: Sequence[str]
) -> tuple[argparse.Namespace, list[str]]:
    """Parses a job's arguments, with a config file beneath them; the rest are Beam's.

    Raises:
        UsageError: an unknown name in the config file.
        SystemExit: argparse's, status 2 for a wrong argument.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    add_arguments(parser)
    parser.add_argument("--config", help="YAML file of these options and of Beam's; the command line wins")
    known = {action.dest: action for action in parser._actions}
    beam_arguments: list[str] = []
    repeated: dict[str, list[str]] = {}
    for name, value in _read_config(argv).items():
        values = [str(v) for v in value] if isinstance(value, list) else [str(value)]
        if name not in known:
            if value is True:
                beam_arguments.append(f"--{name}")
            elif value is not False and value is not None:
                beam_arguments += [f"--{name}={v}" for v in values]
            continue
        known[name].required = False
        if isinstance(known[name], argparse._AppendAction):
            repeated[name] = values  # as a default, the command line would add to it, not win
        elif known[name].nargs == 0 and not isinstance(value, bool):
            raise UsageError(f"--config: {name} must be true or false, got {value!r}")
        else:
            parser.set_defaults(**{name: value if value is None or isinstance(value, bool) else str(value)})
    arguments, rest = parser.parse_known_args(argv)
    for name, values in repeated.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, values)
    beam_arguments += rest
    _check_beam_arguments(beam_arguments, set(known))
    return arguments, beam_arguments


def _read_config(argv: Sequence[str]) -> dict[str, Any]:
    """The values of the file that --config names; none where it names none."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    path = finder.parse_known_args(argv)[0].config
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as file:
            values = load_yaml(file.read())
    except (OSError, ValueError) as error:
        raise UsageError(f"--config={path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(f"--config={path} must be a mapping of option names to values")
    return values


def _beam_options() -> dict[str, bool]:
    """Names of Beam's options, and whether each takes a value."""
    parser = argparse.ArgumentParser(add_help=False)
    for option_class in _subclasses(PipelineOptions):
        option_class._add_argparse_args(_Tolerant(parser))
    return {string[2:]: action.nargs != 0 for action in parser._actions for string in action.option_strings}


class _Tolerant:
    """Takes an argument that two option classes both define, once."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._parser.add_argument(*args, **kwargs)
        except argparse.ArgumentError:
            return None

    add_value_provider_argument = add_argument

    def add_mutually_exclusive_group(self, **_: Any) -> _Tolerant:
        return self


def _subclasses(cls: Any) -> list[Any]:
    return [cls, *(deeper for sub in cls.__subclasses__() for deeper in _subclasses(sub))]


def _check_beam_arguments(arguments: Sequence[str], known: set[str]) -> None:
    """Beam drops what it does not know; a mistyped option, or a file too many, must not be dropped in silence."""
    options = _beam_options()
    value_follows = False
    for argument in arguments:
        if not argument.startswith("-"):
            if not value_follows:
                raise UsageError(f"{argument!r} belongs to no option: quote a glob, and repeat an option's name")
            value_follows = False
            continue
        name, equals, _ = argument.partition("=")
        name = name.removeprefix("--")
        if name not in options:
            near = difflib.get_close_matches(name, [*known, *options], n=1)
            hint = f": did you mean --{near[0]}?" if near else "; see --help, and Beam's own options"
            raise UsageError(f"unknown option --{name}{hint}")
        value_follows = options[name] and not equals


def check_split(split: str) -> None:
    """Refuses a name that could not stand in a file name.

    Raises:
        UsageError: it is something else than letters, digits and underscores.
    """
    if not split.replace("_", "").isalnum():
        raise UsageError(f"--split must be letters, digits and underscores, got {split!r}")


def pipeline_options(beam_arguments: list[str]) -> tuple[PipelineOptions, str, bool]:
    """Beam's options, the runner's name, and whether it runs on this machine.

    Without --runner it is Beam's local one, with a thread a core, which measured best here.

    Raises:
        UsageError: a runner that is refused, or that there is none of.
    """
    options = PipelineOptions(beam_arguments)
    values = options.get_all_options()
    runner = _find_runner(str(values["runner"] or LOCAL_RUNNER))
    short = runner.rsplit(".", 1)[-1]
    local = short in (LOCAL_RUNNER, "DirectRunner", "BundleBasedDirectRunner")
    if local:
        # Beam prints a failed bundle's traceback and logs it twice; `exit_status` says what it comes to.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        vars(sdk_worker)["print"] = lambda *_, **__: None
        _spare_localhost_the_proxy()
    if values["runner"] is None:
        given = {argument.split("=")[0] for argument in beam_arguments}
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        extra = ["--runner=" + LOCAL_RUNNER]
        if "--direct_running_mode" not in given:
            extra.append("--direct_running_mode=multi_threading")
        if "--direct_num_workers" not in given:
            extra.append(f"--direct_num_workers={cores}")
        options = PipelineOptions([*beam_arguments, *extra])
    FileSystems.set_options(options)  # for the plan, which is made before there is a pipeline
    return options, runner, local


def _find_runner(given: str) -> str:
    """The runner's name in Beam's spelling; Beam also takes it in any case, and without its "Runner".

    Raises:
        UsageError: the runner is refused, or there is none of that name.
    """
    module, _, name = given.rpartition(".")
    stem = name.lower().removesuffix("runner")
    for refused, reason in _REFUSED_RUNNERS.items():
        if stem == refused.lower().removesuffix("runner"):
            raise UsageError(f"--runner={given} is refused: {reason}. Use the local default, Flink or Dataflow")
    if module:
        try:
            found = hasattr(importlib.import_module(module), name)
        except ImportError as error:
            raise UsageError(f"--runner={given} cannot be loaded: {error}") from error
        if not found:
            raise UsageError(f"--runner={given}: {module} has no {name}")
        return given
    names = {known.lower().removesuffix("runner"): known for known in StandardOptions.KNOWN_RUNNER_NAMES}
    if stem in names:
        return names[stem]
    near = difflib.get_close_matches(stem, names, n=1)
    hint = f"did you mean {names[near[0]]}?" if near else f"Beam has {', '.join(names.values())}"
    raise UsageError(f"unknown --runner={given}: {hint}")


def _spare_localhost_the_proxy() -> None:
    """Beam's workers speak gRPC with one another, which asks an http_proxy for localhost too: nothing answers."""
    exceptions = os.environ.get(_GRPC_PROXY_EXCEPTIONS) or os.environ.get("no_proxy", "")
    names = [name for name in exceptions.split(",") if name]
    if "localhost" not in names:
        os.environ[_GRPC_PROXY_EXCEPTIONS] = ",".join([*names, "localhost"])


def exit_status(run: Callable[[], int]) -> int:
    """Runs a job; what goes wrong becomes a message and an exit status, never a bare traceback."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("melbeam").setLevel(logging.INFO)  # also where an import has set up logging before
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # Beam logs the traceback of an error of S3's on the root logger, before it raises it.
    logging.getLogger().addFilter(lambda record: record.module != "s3io")
    try:
        return run()
    except UsageError as error:
        print(f"melbeam: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        print("melbeam: interrupted; the same command goes on from here", file=sys.stderr)
        return EXIT_FAILED
    except Exception as error:
        # Beam chains the worker's traceback into the message; its last line says what happened.
        lines = [line for line in str(error).splitlines() if line.strip()] or [repr(error)]
        logging.getLogger("melbeam").debug("the whole error", exc_info=True)
        print(f"melbeam: the job failed: {lines[-1].strip()}", file=sys.stderr)
        print("melbeam: what was finished is kept; the same command goes on from there", file=sys.stderr)
        return EXIT_FAILED
