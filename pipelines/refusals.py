"""The kinds of refusals, each with a code that its message shows and that docs/errors.md explains.

A code never changes its meaning and is never given again. A new kind is a new member of `Refusal`; the page is
made of the members (`python scripts/reference_docs.py`), and a test provokes each of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, unique

# The rooms of the codes, by their first digit, as docs/errors.md heads them.
ROOMS = {
    "1": "The call",
    "2": "The output folder",
    "3": "The input",
    "4": "The front end",
    "5": "A folder that is read",
    "6": "Paths and stores",
}


@unique
class Refusal(Enum):
    """A kind of exit status 2.

    Attributes:
        code: as messages show it; its first digit is the room (`ROOMS`).
        meaning: what was met.
        advice: what a person does about it.
    """

    UNKNOWN_JOB = (
        "MB101",
        "The word after `melbeam` is no job, or there is none.",
        "`melbeam --help` lists the jobs.",
    )
    UNKNOWN_OPTION = (
        "MB102",
        "Neither the job nor Beam has such an option, or a word of the call belongs to no option.",
        "`melbeam JOB --help` lists the job's options; quote a glob, or the shell makes many words of it. "
        "Beam would drop a mistyped option in silence, so it is refused here.",
    )
    BAD_VALUE = (
        "MB103",
        "A required argument is missing, or a value is of the wrong kind or out of its bounds.",
        "The message names the option, the value and the bounds.",
    )
    CONTRADICTION = (
        "MB104",
        "Two options, or an option and the input, exclude each other.",
        "Leave one of them out.",
    )
    BAD_CONFIG = (
        "MB105",
        "The file that `--config` names cannot be read, or is no mapping of option names to values.",
        "Write one `option: value` a line, without the dashes.",
    )
    BAD_RUNNER = (
        "MB106",
        "Beam has no such runner, it cannot be loaded, or it is known to lose data.",
        "Leave `--runner` out for the local default, or see [the runners](runners.md).",
    )
    NO_PACKAGE = (
        "MB107",
        "The job needs a package that is not installed with melbeam itself.",
        "Install the extra that the message names.",
    )

    NO_FOLDER_NAME = (
        "MB201",
        "The name of a folder is empty, the root of a file system, or no path.",
        "Name a folder below the root.",
    )
    OUTPUT_IS_A_FILE = (
        "MB202",
        "A file, or a link that leads to nothing, stands where the output folder or one above it must be.",
        "Choose another folder, or move the file away.",
    )
    OUTPUT_IS_CLOSED = (
        "MB203",
        "The account that runs the job may write nothing into the output folder.",
        "Grant it the right, or choose another folder.",
    )
    NAME_IS_TOO_LONG = (
        "MB204",
        "A name is longer than the file system takes.",
        "Choose a shorter `--output` or `--split`.",
    )
    OTHER_FRONT_END = (
        "MB205",
        "The folder holds another split with another front end, or features of another form, and readers take one "
        "for all splits.",
        "Choose another `--output`, or repeat that split's options: the message names the difference.",
    )
    OTHER_JOB = (
        "MB206",
        "The folder holds this split, made of another input or with other options. The same command goes on where "
        "it stopped; another one would mix two jobs.",
        "Choose another `--output` or `--split`, or pass `--overwrite` to replace the split.",
    )
    FOREIGN_FILES = (
        "MB207",
        "The folder holds files that melbeam did not write, where its own would be.",
        "Choose another folder or `--split`; melbeam deletes no file that it did not write.",
    )
    UNUSABLE_JOB_FILE = (
        "MB208",
        "The split's `job.json` is missing, torn, or from a replacement that was cut off, so that nothing says "
        "what the split is made of.",
        "Pass `--overwrite` to extract the split again.",
    )
    LOCKED = (
        "MB209",
        "Another job is at work on the split, or one that was left behind may still be.",
        "Wait for it or end it. Where it has ended, remove the lock file that the message names.",
    )

    UNUSABLE_SUMMARY = (
        "MB210",
        "The `summary.json` of another split of the folder is torn, so that the folder's metadata cannot be made.",
        "Remove it and run that split's command again: it finds the shards done and writes the summary anew.",
    )
    LEFT_BEHIND = (
        "MB211",
        "`ingest --overwrite` would replace some of the splits that clips were divided into, and leave others, "
        "whose clips may then be in a new split too: a test set in what is trained on.",
        "Divide into splits of the same names, choose another `--output`, or remove the files of the split that "
        "the message names.",
    )

    NO_INPUT = (
        "MB301",
        "`--input` names no file.",
        "Correct the path, and quote the glob.",
    )
    INCOMPLETE_SET = (
        "MB302",
        "Of a set of NAME-00000-of-00016 files some are missing: what wrote them may have been interrupted.",
        "Start it again or correct the glob; `--allow_missing_shards` takes what is there.",
    )
    SEVERAL_KINDS = (
        "MB303",
        "The input holds several kinds of sources.",
        "Choose one with `--input_format`, or give each a job of its own.",
    )
    UNKNOWN_FORMAT = (
        "MB304",
        "The input is nothing that melbeam reads, by its names and its first bytes.",
        "[Sources](sources.md) lists what is read; `--input_format` says which it is.",
    )
    BAD_SOURCE = (
        "MB305",
        "A manifest, table or folder of a known kind cannot be read as a whole.",
        "Mend the file: the message says where. A single bad row or clip is no refusal but a reject.",
    )
    BAD_COLUMNS = (
        "MB306",
        "`--columns` is not of the form OURS=THEIRS,..., names a column that is not there, or no column names the "
        "audio.",
        "The message lists the columns that there are.",
    )
    RESERVED_NAME = (
        "MB307",
        "The input has a column or a feature of a name that melbeam writes itself; it may be the output of an "
        "earlier extract.",
        "Rename it, `--columns=my_source=source` for example, or correct `--input`.",
    )
    NOT_RAW_SAMPLES = (
        "MB308",
        "`--audio_format=pcm_s16le` was asked for, and the records hold whole audio files.",
        "Leave `--audio_format` out: files say themselves what they are.",
    )

    UNKNOWN_FRONT_END = (
        "MB401",
        "No front end, preset, file or folder is called so.",
        "`melbeam presets` lists the names; a handle begins with `hf://` or `kaggle://`.",
    )
    NOT_FETCHED = (
        "MB402",
        "A preset's file cannot be fetched: no network, no such repository, a gated model, or no client.",
        "The message says which. Accept a gated model's terms and log in, or fetch the file by hand and name its "
        "folder.",
    )
    BAD_FRONT_END = (
        "MB403",
        "A front end's or preset's file has a wrong field, is of a model without audio, or contradicts another.",
        "Correct the field that the message names; `melbeam presets gemma4` prints a whole front end.",
    )
    BAD_STATISTICS = (
        "MB404",
        "`--normalize_by` names no statistics of this front end.",
        "Name a folder of features that the same front end wrote without normalisation: FOLDER, or FOLDER#SPLIT.",
    )

    NO_FEATURES = (
        "MB501",
        "The folder is none that a melbeam job has written, or the one above or below it is meant.",
        "Name what `--output` named.",
    )
    NO_SPLIT = (
        "MB502",
        "The folder has no such split, the split is not finished, or a later melbeam wrote it.",
        "The message lists the splits that there are; the command that made the split goes on where it stopped.",
    )
    NO_REJECTS = (
        "MB503",
        "The split has no rejects to be retried.",
        "Nothing is to be done.",
    )
    NO_REFERENCE = (
        "MB504",
        "The package that `--against` names is not installed, or has no converter for this front end.",
        "Install it beside melbeam, or choose the other one.",
    )
    SOURCE_IS_GONE = (
        "MB505",
        "The audio that features were made of is not there any more, or has changed.",
        "Put it back where it was; `verify` without `--against` needs no audio.",
    )

    NO_RECORD = (
        "MB506",
        "The split has no record of that id or number.",
        "The message has the nearest ids; numbers begin with `#0`, in the order of the shards.",
    )
    NOT_COMPARABLE = (
        "MB507",
        "Two folders have no split in common, features of different numbers of mel bins, or damage.",
        "Name the folders of one front end, and a split that both have; `verify` looks at every byte of one.",
    )

    NOT_THERE = (
        "MB601",
        "A path that was given, or a file that it needs, is not there.",
        "Correct the path, or make the bucket.",
    )
    FORBIDDEN = (
        "MB602",
        "The operating system or the store refuses the account that runs the job.",
        "Grant the rights that the message names, to the launcher's account and to the workers'.",
    )
    WRONG_KIND_OF_PATH = (
        "MB603",
        "A file stands where a folder must be, or a folder where a file must be.",
        "Choose another path.",
    )
    NO_FILE_SYSTEM = (
        "MB604",
        "The path's scheme is unknown, or its client is not installed.",
        "`pip install 'melbeam[gcp]'` reads `gs://`, `pip install 'melbeam[aws]'` reads `s3://`.",
    )

    def __init__(self, code: str, meaning: str, advice: str) -> None:
        self.code = code
        self.meaning = meaning
        self.advice = advice


class UsageError(ValueError):
    """The call was wrong: exit status 2.

    Args:
        refusal: the kind.
        message: what was wrong, with the value, and what to do.
    """

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(refusal, message)  # as it was made, so that it can be pickled
        self.refusal = refusal
        self.message = message

    def __str__(self) -> str:
        return self.message


@contextmanager
def refused_as(refusal: Refusal) -> Iterator[None]:
    """Makes a ValueError of its block, which says what is wrong but not of which kind it is, a refusal.

    Raises:
        UsageError: of this kind, for a ValueError; one that has its kind already is left as it is.
    """
    try:
        yield
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(refusal, str(error)) from error


def with_code(message: str, refusal: Refusal) -> str:
    """The message as a person reads it."""
    return f"{message} [{refusal.code}]"
