"""The command line of every job: its options, a config file beneath them, and what is left over for Beam.

Nothing here imports Beam, NumPy or TensorFlow, so that --help and a mistyped option are answered at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from melbeam.pipelines.exit_status import EXIT_REFUSED
from melbeam.pipelines.refusals import Refusal, UsageError, with_code
from melbeam.transforms.messages import nearest
from melbeam.transforms.plain_yaml import load_yaml


class _Help(argparse.HelpFormatter):
    """Shows the default of each option that has one; a flag's is that it is off."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        shown = action.default not in (None, False, argparse.SUPPRESS) and action.option_strings
        return f"{action.help} (default: %(default)s)" if shown and action.help else action.help


class Parser(argparse.ArgumentParser):
    """A parser that knows its options by name, takes none abbreviated, and tells a wrong call in one line.

    Attributes:
        options: by name, in the order in which they were added, --help among them.
        repeated: the names of those that may be given more than once.
        where: what a wrong value's message begins with, for values that are not of the command line.
    """

    def __init__(self, prog: str, description: str = "", **settings: Any) -> None:
        self.where = ""
        self.options: dict[str, argparse.Action] = {}
        self.repeated: set[str] = set()
        super().__init__(prog=prog, description=description, formatter_class=_Help, allow_abbrev=False, **settings)

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """Adds an option as argparse does, and remembers it by its name."""
        action = super().add_argument(*names, **settings)
        self.options[action.dest] = action
        if settings.get("action") == "append":
            self.repeated.add(action.dest)
        return action

    @property
    def option_names(self) -> list[str]:
        """The names of all options without their dashes, older names of the same option among them."""
        return [name.lstrip("-") for option in self.options.values() for name in option.option_strings]

    def error(self, message: str) -> NoReturn:
        """Ends with status 2 and one line, without the usage of all options before it."""
        said = f"{self.prog}: {self.where}{message}; see {self.prog} --help"
        print(with_code(said, Refusal.BAD_VALUE), file=sys.stderr)
        raise SystemExit(EXIT_REFUSED)


AddArguments = Callable[[Parser], None]


def make_parser(add_arguments: AddArguments, prog: str, description: str) -> Parser:
    """The parser of a job, with the options that all jobs have."""
    parser = Parser(prog, description)
    add_arguments(parser)
    parser.add_argument("--config", help="a YAML file of options; the command line wins")
    parser.add_argument("--verbose", action="store_true", help="show all log lines, and tracebacks of errors")
    return parser


def parse(
    add_arguments: AddArguments,
    prog: str,
    description: str,
    argv: Sequence[str],
    check_rest: Callable[[list[str]], None] = lambda rest: None,
) -> tuple[argparse.Namespace, list[str]]:
    """Parses a job's arguments, with a config file beneath them.

    Args:
        add_arguments: adds the job's own options to a parser.
        prog: the command as it is typed.
        description: what --help begins with.
        argv: the arguments.
        check_rest: refuses what is none of the job's own and of nobody else's. It is asked before an option is
            said to be missing, which may only be misspelt.

    Returns:
        The job's own arguments, and those that are none of its own.

    Raises:
        UsageError: the config file cannot be read, a value in it is of the wrong kind, or check_rest refuses.
        SystemExit: argparse's, status 2 for a wrong argument.
    """
    parser = make_parser(add_arguments, prog, description)
    path, config = _read_config(argv)
    checked = _check_config(make_parser(add_arguments, prog, description), f"--config={path}: ", config)
    beam_arguments, repeated = _take_as_defaults(parser, checked)
    required = _make_optional(parser)
    # Without "intermixed" an optional argument is only seen directly behind the one before it: `show FOLDER ID`,
    # but not `show FOLDER --split=test ID`.
    has_optional = any(not option.option_strings and option.nargs == "?" for option in parser.options.values())
    arguments, rest = (parser.parse_known_intermixed_args if has_optional else parser.parse_known_args)(argv)
    for name, values in repeated.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, values)
    if beam_arguments:
        try:
            check_rest(beam_arguments)
        except UsageError as error:
            raise UsageError(error.refusal, f"--config={path}: {error}") from error
    rest = beam_arguments + rest
    check_rest(rest)
    missing = [option.option_strings[0] for option in required if getattr(arguments, option.dest) is None]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    return arguments, rest


def _take_as_defaults(parser: Parser, config: Mapping[str, Any]) -> tuple[list[str], dict[str, list[str]]]:
    """Makes the values of a config file the defaults of the job's own options.

    Returns:
        The others, as arguments for Beam; and the values of options that may be repeated, by their names, for the
        command line would add to such a default, and not win.
    """
    beam_arguments: list[str] = []
    repeated: dict[str, list[str]] = {}
    for name, value in config.items():
        values = [str(v) for v in value] if isinstance(value, list) else [str(value)]
        if name not in parser.options:
            if value is True:
                beam_arguments.append(f"--{name}")
            elif value is not False and value is not None:
                beam_arguments += [f"--{name}={v}" for v in values]
            continue
        parser.options[name].required = False
        if name in parser.repeated:
            repeated[name] = values
        else:
            parser.set_defaults(**{name: value})
    return beam_arguments, repeated


def _make_optional(parser: Parser) -> list[argparse.Action]:
    """Lets the required options be missing, for whoever asks for them later; gives these."""
    required = [option for option in parser.options.values() if option.required and option.option_strings]
    for option in required:
        option.required = False
    return required


def _check_config(parser: Parser, where: str, config: dict[str, Any]) -> dict[str, Any]:
    """The values of a config file, those of the job's own options as the command line would give them.

    Args:
        parser: of the job; it looks at each value as at one of the command line.
        where: what a message of a wrong value begins with.
        config: what the file holds.

    Raises:
        UsageError: a value is of another kind than its option's, or none of its choices.
        SystemExit: argparse's, status 2 for a value that is none of the option's type.
    """
    parser.where = where
    checked, as_arguments = dict(config), []
    for name, value in config.items():
        option = parser.options.get(name)
        if option is None or value is None:
            continue
        is_flag, may_be_list = option.nargs == 0, name in parser.repeated
        if isinstance(value, bool) and option.choices is not None and "on" in option.choices:
            value = "on" if value else "off"  # YAML reads these words as true and false
        fits = isinstance(value, bool) == is_flag and not isinstance(value, dict)
        if not fits or (isinstance(value, list) and not may_be_list):
            kind = "true or false" if is_flag else "one value"
            raise UsageError(Refusal.BAD_VALUE, f"{where}{name} must be {kind}, got {_as_given(value)}")
        if option.choices is not None and str(value) not in option.choices:
            given = f"{where}{name} must be one of {tuple(option.choices)}, got {str(value)!r}"
            raise UsageError(Refusal.BAD_VALUE, given)
        if not is_flag and not may_be_list:
            checked[name] = str(value)
            as_arguments += [f"{option_string}={value}" for option_string in option.option_strings[:1]]
    for option in parser.options.values():
        option.required = False  # the command line may have it
    parser.parse_known_args(as_arguments)
    return checked


def _as_given(value: Any) -> str:
    """A value of a config file for a message; YAML makes true and false of words that were meant as such."""
    return f"{str(value).lower()}: quote it where a word is meant" if isinstance(value, bool) else repr(value)


def _read_config(argv: Sequence[str]) -> tuple[str | None, dict[str, Any]]:
    """The file that --config names, and its values; None and none where it names none."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config")
    path = finder.parse_known_args(argv)[0].config
    if path is None:
        return None, {}
    try:
        with open(path, encoding="utf-8") as file:
            values = load_yaml(file.read())
    except (OSError, ValueError) as error:
        raise UsageError(Refusal.BAD_CONFIG, f"--config={path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise UsageError(Refusal.BAD_CONFIG, f"--config={path} must be a mapping of option names to values")
    return path, values


def option_hint(given: str, known: Iterable[str]) -> str:
    """Returns the end of a message on an unknown option, `: did you mean --split?`; "" where none is like it.

    Args:
        given: what was typed. Its dashes do not count: all options have them.
        known: the names of options, without dashes.
    """
    meant = nearest(given.lstrip("-"), known)
    return f": did you mean --{meant}?" if meant else ""


def check_split(split: str) -> None:
    """Refuses a name that could not stand in a file name.

    Raises:
        UsageError: it is something else than letters, digits and underscores.
    """
    if not split.replace("_", "").isalnum():
        raise UsageError(Refusal.BAD_VALUE, f"--split must be letters, digits and underscores, got {split!r}")


def list_of(values: str | list[str]) -> list[str]:
    """An option that may be repeated, which a config file may hold as one value."""
    return [values] if isinstance(values, str) else values
