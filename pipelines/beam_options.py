"""What a job's command line gives Beam: its options, checked, and the runner that they choose."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from melbeam.pipelines.command_line import option_hint
from melbeam.pipelines.private_names import beam_options
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.this_machine import num_cores
from melbeam.transforms.messages import nearest

# FnApiRunner by name: "DirectRunner" would first try to download another runner.
LOCAL_RUNNER = "FnApiRunner"
_LOCAL_RUNNERS = (LOCAL_RUNNER, "DirectRunner", "BundleBasedDirectRunner")
_MODE, _WORKERS = "--direct_running_mode", "--direct_num_workers"
_REFUSED_RUNNERS = {
    "DaskRunner": "it loses data without an error (tagged outputs and finish_bundle output)",
}


@dataclass(frozen=True)
class RunnerChoice:
    """Where a job's pipeline runs.

    Attributes:
        options: Beam's, with what the local default adds.
        runner: its name in Beam's spelling, or its path.
        local: whether the workers are on this machine.
        gives_mode: whether the command says how workers run on this machine; a named runner says so too.
        gives_workers: whether it says how many.
    """

    options: PipelineOptions
    runner: str
    local: bool
    gives_mode: bool = True
    gives_workers: bool = True

    @property
    def detached(self) -> str | None:
        """Says for a person what became of a job that is not waited for; None for one that is."""
        given = self.options.get_all_options()
        if not self.local and given.get("template_location"):
            return f"the template is {given['template_location']}"
        if not self.local and given.get("no_wait_until_finish"):
            return "the job was accepted"
        return None


def choose_runner(beam_arguments: Sequence[str]) -> RunnerChoice:
    """Finds the runner, and the options that it runs with.

    Without --runner it is Beam's local one, with a thread a core.

    Args:
        beam_arguments: what the job's own parser left over, checked.

    Raises:
        UsageError: a runner that is refused, or that there is none of.
    """
    options = PipelineOptions(list(beam_arguments))
    given_runner = options.get_all_options()["runner"]
    runner = _find_runner(str(given_runner or LOCAL_RUNNER))
    is_local = runner.rsplit(".", 1)[-1] in _LOCAL_RUNNERS
    if given_runner is not None:
        return RunnerChoice(options, runner, is_local)
    given = {argument.split("=")[0] for argument in beam_arguments}
    extra = ["--runner=" + LOCAL_RUNNER]
    if _MODE not in given:
        extra.append(f"{_MODE}=multi_threading")
    if _WORKERS not in given:
        extra.append(f"{_WORKERS}={num_cores()}")
    options = PipelineOptions([*beam_arguments, *extra])
    return RunnerChoice(options, runner, is_local, gives_mode=_MODE in given, gives_workers=_WORKERS in given)


def check_beam_arguments(arguments: Sequence[str], ours: Iterable[str] = ()) -> None:
    """Refuses what Beam would drop in silence: a mistyped option, or a file too many.

    Args:
        arguments: what the job's own parser left over.
        ours: names of the job's own options without dashes, for the hint beside a mistyped one.

    Raises:
        UsageError: an option that Beam has not, or a value that belongs to none.
    """
    if not arguments:
        return
    options = beam_options()
    value_follows = False
    for argument in arguments:
        if not argument.startswith("-"):
            if not value_follows:
                raise UsageError(
                    Refusal.UNKNOWN_OPTION,
                    f"{argument!r} belongs to no option: quote a glob, and write an option that takes several "
                    "values once for each",
                )
            value_follows = False
            continue
        name, equals, _ = argument.partition("=")
        name = name.removeprefix("--")
        if name not in options:
            hint = option_hint(name, [*ours, *options]) or "; see --help, and Beam's own options"
            raise UsageError(Refusal.UNKNOWN_OPTION, f"unknown option --{name}{hint}")
        value_follows = options[name] and not equals


def _find_runner(given: str) -> str:
    """The runner's name in Beam's spelling; Beam also takes it in any case, and without its "Runner".

    Raises:
        UsageError: the runner is refused, or there is none of that name.
    """
    module, _, name = given.rpartition(".")
    stem = name.lower().removesuffix("runner")
    for refused, reason in _REFUSED_RUNNERS.items():
        if stem == refused.lower().removesuffix("runner"):
            raise UsageError(
                Refusal.BAD_RUNNER,
                f"--runner={given} is refused: {reason}. Use the local default, Flink or Dataflow",
            )
    if module:
        try:
            found = hasattr(importlib.import_module(module), name)
        except ImportError as error:
            raise UsageError(Refusal.BAD_RUNNER, f"--runner={given} cannot be loaded: {error}") from error
        if not found:
            raise UsageError(Refusal.BAD_RUNNER, f"--runner={given}: {module} has no {name}")
        return given
    names = {known.lower().removesuffix("runner"): known for known in StandardOptions.KNOWN_RUNNER_NAMES}
    if stem in names:
        return names[stem]
    meant = nearest(stem, names)
    hint = f"did you mean {names[meant]}?" if meant else f"Beam has {', '.join(names.values())}"
    raise UsageError(Refusal.BAD_RUNNER, f"unknown --runner={given}: {hint}")
