"""A job as a command: its arguments are parsed, it runs, and what goes wrong becomes words and an exit status."""

from __future__ import annotations

import argparse
import logging
import os
import re
import select
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from melbeam.pipelines import words
from melbeam.pipelines.command_line import AddArguments, Parser, make_parser, option_hint, parse
from melbeam.pipelines.exit_status import EXIT_FAILED, EXIT_REFUSED
from melbeam.pipelines.job_log import JobLog, job_log
from melbeam.pipelines.refusals import Refusal, UsageError, with_code

_LOG = logging.getLogger("melbeam")
# Errors of a path that a person has to put right, where the launcher meets them.
_PATHS = {
    PermissionError: (
        Refusal.FORBIDDEN,
        "give the account that runs this job the right to it, or choose another path",
    ),
    FileNotFoundError: (Refusal.NOT_THERE, "correct the path"),
    NotADirectoryError: (
        Refusal.WRONG_KIND_OF_PATH,
        "a file stands where a folder must be: choose another path",
    ),
    IsADirectoryError: (Refusal.WRONG_KIND_OF_PATH, "it is a folder: name a file"),
    FileExistsError: (Refusal.WRONG_KIND_OF_PATH, "a file stands where a folder must be: choose another path"),
}
# Beam adds to a worker's error in which step it happened.
_STEP = re.compile(r"\s*\[while running '[^']*'\]")


@dataclass(frozen=True)
class Command:
    """One job of `melbeam`.

    Attributes:
        name: the word after `melbeam`.
        description: what --help begins with.
        add_arguments: adds the job's own options to a parser.
        run: takes the parsed arguments and those left for Beam; gives the exit status. It imports what it needs,
            so that its parser is there at once.
        takes_beam_options: whether it runs a pipeline.
    """

    name: str
    description: str
    add_arguments: AddArguments
    run: Callable[[argparse.Namespace, list[str]], int]
    takes_beam_options: bool = True

    @property
    def prog(self) -> str:
        """The command as it is typed."""
        return f"melbeam {self.name}"

    @property
    def parser(self) -> Parser:
        """The parser of all its options, for whoever describes them."""
        return make_parser(self.add_arguments, self.prog, self.description)

    def parse(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """The job's arguments, and Beam's, checked.

        Raises:
            UsageError: an unknown option, or a wrong config file.
            SystemExit: argparse's, status 2 for a wrong argument, 0 after --help.
        """
        return parse(self.add_arguments, self.prog, self.description, argv, self._check_rest)

    def _check_rest(self, rest: list[str]) -> None:
        """Refuses what is no option of the job, nor one of Beam's where it takes those.

        Raises:
            UsageError: with the option that may have been meant.
        """
        if rest and self.takes_beam_options:
            from melbeam.pipelines.beam_options import check_beam_arguments  # imports Beam

            check_beam_arguments(rest, self.parser.option_names)
        elif rest:
            given = rest[0].partition("=")[0]
            hint = option_hint(given, self.parser.option_names) if given.startswith("-") else ""
            raise UsageError(
                Refusal.UNKNOWN_OPTION, f"{self.prog} has no {given}{hint or f'; see {self.prog} --help'}"
            )

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Runs the command; gives the exit status, and never lets a bare traceback out."""
        try:
            with job_log():  # what Beam logs when its options are looked at is not for the screen
                arguments, beam_arguments = self.parse(sys.argv[1:] if argv is None else argv)
        except UsageError as error:
            return _refuse(error)
        with job_log(verbose=arguments.verbose) as log:
            return _run_and_tell(lambda: self.run(arguments, beam_arguments), log, arguments.config)


def _run_and_tell(run: Callable[[], int], log: JobLog, config: str | None) -> int:
    """Runs a job, says on the screen what goes wrong, and gives the exit status."""
    try:
        return run()
    except UsageError as error:
        _LOG.debug("the call was refused", exc_info=True)
        return _refuse(error, config)
    except KeyboardInterrupt:
        words.say("interrupted" + (f"; {log.goes_on} goes on from here" if log.goes_on else ""))
        return EXIT_FAILED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return EXIT_FAILED
        refusal = _refusal_of_a_path(error)
        if refusal is not None:
            _LOG.debug("a path was refused", exc_info=True)
            return _refuse(refusal)
        _LOG.debug("the whole error", exc_info=True)
        for line in log.words_of_workers():
            print(words.harmless(line), file=sys.stderr)
        words.say(f"the job failed: {last_line(error)} (the whole error: {log.keep()})")
        if log.goes_on:
            words.say(f"what was finished is kept: {log.goes_on} does only what is left")
        return EXIT_FAILED


def _nobody_reads() -> bool:
    """Whether standard output is a pipe that nobody reads any more, as behind `| head`; then it leads nowhere."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # it is no file
        return False
    pipe = select.poll()
    pipe.register(stdout, 0)
    if not any(event & select.POLLERR for _, event in pipe.poll(0)):
        return False
    # Else the interpreter's own flush, at its end, would fail too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stdout)
    return True


def _refuse(error: UsageError, config: str | None = None) -> int:
    """Says why a call is refused, and where the option may stand that is wrong; gives the exit status."""
    of_options = config is not None and error.refusal in (Refusal.BAD_VALUE, Refusal.CONTRADICTION)
    words.say(with_code(f"{error} (with --config={config})" if of_options else str(error), error.refusal))
    return EXIT_REFUSED


def _refusal_of_a_path(error: Exception) -> UsageError | None:
    """The refusal that an error stands for, where a person has to put a path right and the job did not fail.

    The operating system's errors know the path, but say nothing of what to do.
    """
    if not isinstance(error, OSError):
        return None
    from melbeam.pipelines.files import NoFileSystem  # imports Beam, which an error of a path comes from

    if isinstance(error, NoFileSystem) or isinstance(error.__cause__, ImportError):  # a store's client
        return UsageError(Refusal.NO_FILE_SYSTEM, last_line(error))
    for kind, (refusal, todo) in _PATHS.items():
        if isinstance(error, kind):
            # A file that is renamed has a second name, and that one was asked for.
            path = error.filename if error.filename2 is None else error.filename2
            told = path is not None
            return UsageError(refusal, f"{path}: {error.strerror}: {todo}" if told else last_line(error))
    return None


def last_line(error: Exception) -> str:
    """What happened, in one line: Beam chains a worker's whole traceback into the message, which ends with it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    if not lines:
        return repr(error)
    line = _STEP.sub("", lines[-1]).strip()
    if len(lines) == 1 and not isinstance(error, OSError | RuntimeError | ValueError):
        return f"{type(error).__name__}: {line}"  # a KeyError's message is the key alone
    return line
