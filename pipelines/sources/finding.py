"""What kind of source an input is: by the names in a folder, the endings of files, and their first bytes.

In a folder: `wav.scp`, then `features.json`, `cuts.jsonl.gz`, `metadata.*`, `*.trans.txt`, MLS's
`transcripts.txt`, `*.stm`; where it has none of these, Parquet, tar, TFRecord or clips, of which one folder may
hold only one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from glob import escape
from itertools import product

from melbeam.pipelines import files
from melbeam.pipelines.files.globs import literal_path, literal_prefix, with_literal_brackets
from melbeam.pipelines.refusals import Refusal, UsageError
from melbeam.pipelines.sources import audio_files, corpora, foreign
from melbeam.pipelines.sources.endings import AUDIO_ENDINGS, MANIFEST_ENDINGS, STM_ENDING, TAR_ENDINGS
from melbeam.pipelines.sources.kaldi import PARTS, WAV_SCP
from melbeam.pipelines.sources.kinds import AUDIO, KALDI, LHOTSE, MANIFEST, PARQUET, TFRECORD, WEBDATASET
from melbeam.pipelines.sources.nemo_tarred import NEMO_MANIFEST, SHARDED
from melbeam.pipelines.sources.text_lines import Lines, open_text
from melbeam.pipelines.sources.transcripts import LJSPEECH, TRANSCRIPTS, is_ljspeech
from melbeam.pipelines.sources.units import Found, LeftOut, SourceOptions, printable
from melbeam.pipelines.tfrecord import is_compressed
from melbeam.transforms.folder_layout import BOOKKEEPING, FEATURES, file_name, folder_of
from melbeam.transforms.reading.not_features import folders_meant
from melbeam.transforms.records.containers.formats import name_of_beginning
from melbeam.transforms.records.tfrecord_frame import HEADER, length_of

_CUTS = re.compile(r"(.*[._-])?cuts([._-].*)?\.jsonl(\.gz)?")
_METADATA = re.compile(r"metadata\.(csv|tsv|jsonl)(\.gz)?")
_METADATA_AS_PARQUET = "metadata.parquet"
_BRACES = re.compile(r"\{([^{},]*(?:,[^{},]*)+|(\d+)\.\.(\d+))\}")
_OF_NEMO = re.compile(r"_OP_(\d+\.\.\d+)_CL_")  # its braces, which a shell leaves alone
_SHARD = re.compile(r"-?\d+-of-\d+")
# What `datasets` writes beside its Arrow files, and TFDS beside its own; neither is a manifest.
_OF_DATASETS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_ARROW = ".arrow"
# Their tables say where each clip is, behind whatever links.
_NAMING_CLIPS = (MANIFEST, LHOTSE, KALDI)
_OTHER_OF_TFDS = re.compile(r"[^/]+\.(array_record|riegeli|parquet)-\d+-of-\d+")
_TEXT_ENDINGS = (
    ".txt",
    ".md",
    ".html",
    ".pdf",
    ".yaml",
    ".yml",
    ".log",
    ".py",
    ".sh",
    ".xml",
    ".lab",
    ".textgrid",
)


def find_inputs(pattern: str) -> list[Found]:
    """What one --input names: a file, a folder, or a glob, with `{a,b}` and `{00..12}`; several for braces.

    Raises:
        ValueError: it names no file.
    """
    found = [_find(one) for one in _without_braces(pattern)]
    if not any(one.paths for one in found):
        no_file = next((f": {printable(path)} is a {what}" for one in found for path, what in one.no_files), "")
        raise UsageError(
            Refusal.NO_INPUT, f"--input={pattern} names no file{no_file}: check the path, and quote the glob"
        )
    missing = next((one for one in found if not one.paths), None)
    if missing is not None:
        raise UsageError(Refusal.NO_INPUT, f"--input={pattern}: {missing.pattern} names no file")
    return found


def _find(pattern: str) -> Found:
    folder = as_folder(pattern)
    if folder is None:
        pattern = _as_meant(pattern)
        folder = as_folder(pattern)
    if folder is not None:
        glob = f"{escape(folder)}**"
        return Found(pattern, folder, _without_bookkeeping(files.match(glob), folder), files.not_matched(glob))
    paths = files.find_input(pattern)
    if [file_name(path) for path, _ in paths] == [LJSPEECH] and is_ljspeech(paths[0][0]):
        # It names its clips by their stems alone, so that they are looked for where it lies.
        return _find(f"{folder_of(paths[0][0])}/")
    root = pattern
    if [path for path, _ in paths] != [pattern]:
        root = literal_prefix(pattern)
        paths = _without_bookkeeping(paths, root)
    return Found(pattern, root[: root.rfind("/") + 1], paths, files.not_matched(pattern))


def _as_meant(pattern: str) -> str:
    """The glob that `files.find_input` goes by: its brackets are literal where only so it names anything.

    Raises:
        ValueError: it names files in both ways, and those of one would be left out.
    """
    literal = with_literal_brackets(pattern)
    if literal == pattern or files.match(escape(pattern)):
        return pattern
    as_set, as_name = files.match(pattern), files.match(literal)
    if as_set and as_name:
        raise UsageError(
            Refusal.BAD_VALUE,
            f"--input={pattern} names files in two ways: {printable(as_set[0][0])}, where [ ] is one of several "
            f"characters, and {printable(as_name[0][0])}, where it is part of a name: write {literal} for the "
            "latter, and the characters in braces, {a,b}, for the former",
        )
    return literal if as_name else pattern


def _without_bookkeeping(paths: list[tuple[str, int]], root: str) -> list[tuple[str, int]]:
    """The files but for what melbeam itself keeps in a folder of TFRecords: a split's rejects, for example."""
    inside = f"/{BOOKKEEPING}/"
    return [(path, size) for path, size in paths if inside not in f"/{path.removeprefix(root)}"]


def as_folder(pattern: str) -> str | None:
    """The folder, with its slash, that a pattern names as a whole: by its path, or by a glob of all below it."""
    for ending in ("/**/*", "/**"):
        whole = pattern.removesuffix(ending)
        if whole != pattern and (folder := whole if _is_local_folder(whole) else literal_path(whole)) is not None:
            return f"{folder}/"
    if _is_local_folder(pattern):
        return pattern.rstrip("/") + "/"
    # A store has no folders: one is named by its slash.
    return pattern if pattern.endswith("/") and literal_path(pattern) is not None else None


def _is_local_folder(path: str) -> bool:
    return files.is_local(path) and os.path.isdir(path)


def _without_braces(pattern: str) -> list[str]:
    """The globs that a pattern with braces stands for; the pattern itself where there is such a file or folder."""
    if _OF_NEMO.search(pattern) and not files.find_input(pattern):
        pattern = _OF_NEMO.sub(r"{\1}", pattern)
    if not _BRACES.search(pattern) or _is_local_folder(pattern) or files.find_input(pattern):
        return [pattern]
    parts: list[list[str]] = []
    end = 0
    for brace in _BRACES.finditer(pattern):
        parts.append([pattern[end : brace.start()]])
        end = brace.end()
        if brace[2] is None:
            parts.append(brace[1].split(","))
        else:
            first, last = int(brace[2]), int(brace[3])
            parts.append([f"{number:0{len(brace[2])}d}" for number in range(first, last + 1)])
    return ["".join(choice) for choice in product(*parts, [pattern[end:]])]


def find_kind(found: Found, options: SourceOptions) -> tuple[str, Found, LeftOut]:
    """The kind of a source, its own files, and those that are none of it.

    Raises:
        ValueError: two kinds of sources lie together, and `--input_format` does not choose.
    """
    folder = as_folder(found.pattern)
    kind, mine = options.input_format, found.paths
    if kind is None and folder is not None:
        kind, mine = _kind_of_folder(found, folder)
    elif kind is not None and kind != AUDIO and (folder is not None or len(found.paths) > 1):
        mine = [(path, size) for path, size in found.paths if _is_of(kind, path)] or found.paths
    if kind is None:
        kind, mine = _kind_of_files(found)
    left_out = LeftOut()
    if kind != AUDIO:
        taken = {path for path, _ in mine}
        # Rows of `metadata.parquet` name clips as those of a manifest do.
        names_clips = {file_name(path) for path, _ in mine} == {_METADATA_AS_PARQUET}
        for path, _ in found.paths:
            if path not in taken and not _is_a_part(MANIFEST if names_clips else kind, path):
                left_out.add(audio_files.kind_of_other(path) or "audio file", path)
    for path, what in found.no_files:
        if what != files.LINK_TO_FOLDER or kind not in _NAMING_CLIPS:
            left_out.add(what, path)
    clips = [path for path, _ in found.paths if _is_of(AUDIO, path)] if kind == MANIFEST and folder else []
    return kind, replace(found, paths=mine, clips=clips), left_out


def _kind_of_files(found: Found) -> tuple[str, list[tuple[str, int]]]:
    """The kind of files that no name of their folder tells.

    Raises:
        ValueError: they are of several kinds.
    """
    if found.paths and all(corpora.is_mls(path) for path, _ in found.paths):
        return MANIFEST, found.paths
    by_kind = _by_kind(found.paths)
    of_records = [kind for kind in (PARQUET, WEBDATASET, TFRECORD, AUDIO) if kind in by_kind]
    named = of_records or [kind for kind in (KALDI, LHOTSE, MANIFEST) if kind in by_kind]
    if not named and any(file_name(path) == NEMO_MANIFEST for path, _ in found.paths):
        raise UsageError(
            Refusal.UNKNOWN_FORMAT,
            f"--input={found.pattern} is the manifest of tar files that lie beside it: name these, or the folder",
        )
    if not named and all(_is_text(path) for path, _ in found.paths):
        raise UsageError(
            Refusal.UNKNOWN_FORMAT,
            f"--input={found.pattern}: {printable(found.paths[0][0])} is text by its name. A list of clips is a "
            "manifest: its first row names the columns (audio, text, ...), and its name ends with .csv, .tsv or "
            ".jsonl, or --input_format=manifest says so",
        )
    if len(named) > 1:
        examples = ", ".join(f"{kind} ({printable(by_kind[kind][0][0])})" for kind in named)
        written = folders_meant(found.root.rstrip("/") or ".")
        raise UsageError(
            Refusal.SEVERAL_KINDS,
            f"--input={found.pattern} holds several kinds of sources: {examples}: choose one with --input_format"
            + (
                f"; {' and '.join(written)} is what a melbeam job wrote: leave it out by a glob" if written else ""
            ),
        )
    if named == [AUDIO]:  # the source itself says what is left out, and finds transcripts
        return AUDIO, found.paths
    if not named:
        _refuse_foreign(found)
    # A file of no known kind has always been read as TFRecords, whose damage is reported record by record.
    return (named[0], by_kind[named[0]]) if named else (TFRECORD, found.paths)


def _refuse_foreign(found: Found) -> None:
    """Refuses files whose largest one is known to be of no source; else it would be taken for a damaged one.

    Raises:
        ValueError: with what it is.
    """
    largest = max(found.paths, key=lambda named: (named[0].endswith(_ARROW), named[1]))[0]
    what = foreign.what_it_is(largest)
    if what is not None:
        raise UsageError(Refusal.UNKNOWN_FORMAT, f"--input={found.pattern}: {printable(largest)} is {what}")


def _is_a_part(kind: str, path: str) -> bool:
    """Whether a file is a part of the source, though it is not planned: a manifest's clips, TFDS's metadata."""
    if kind in (MANIFEST, LHOTSE):
        return True
    if kind == KALDI:
        return file_name(path) in PARTS or _is_of(AUDIO, path)
    of_nemo = file_name(path) == NEMO_MANIFEST or folder_of(path).endswith(f"/{SHARDED}")
    return (kind == TFRECORD and path.endswith(".json")) or (kind == WEBDATASET and of_nemo)


def _kind_of_folder(found: Found, folder: str) -> tuple[str | None, list[tuple[str, int]]]:
    """The kind that the names in a folder tell, and its files."""
    names = {path.removeprefix(folder): (path, size) for path, size in found.paths}

    def matching(is_named: Callable[[str], object]) -> list[tuple[str, int]]:
        return [named for name, named in names.items() if is_named(name)]

    if WAV_SCP in names:
        return KALDI, [names[WAV_SCP]]
    if FEATURES in names:
        if of_tfds := matching(lambda name: "/" not in name and ".tfrecord" in name):
            return TFRECORD, of_tfds
        _refuse_other_files_of_tfds(folder, names)
    if cuts := matching(lambda name: "/" not in name and _CUTS.fullmatch(name)):
        return LHOTSE, cuts
    if tables := matching(lambda name: _METADATA.fullmatch(file_name(name))):
        if all(is_ljspeech(path) for path, _ in tables):
            return AUDIO, found.paths
        return MANIFEST, tables
    if tables := matching(lambda name: file_name(name) == _METADATA_AS_PARQUET):
        return PARQUET, tables
    if NEMO_MANIFEST in names:
        return WEBDATASET, matching(lambda name: name.lower().endswith(TAR_ENDINGS))
    if matching(lambda name: name.endswith(TRANSCRIPTS)):
        return AUDIO, found.paths
    if of_mls := [named for named in found.paths if corpora.is_mls(named[0])]:
        return MANIFEST, of_mls
    if (of_talks := matching(lambda name: name.endswith(STM_ENDING))) and corpora.is_of_talk(of_talks[0][0]):
        return MANIFEST, of_talks
    return None, found.paths


def _refuse_other_files_of_tfds(folder: str, names: Iterable[str]) -> None:
    """Refuses a data set of TFDS's whose records lie in files that are no TFRecords.

    Raises:
        ValueError: with the command that converts them.
    """
    found = next((match for name in names if (match := _OTHER_OF_TFDS.fullmatch(name))), None)
    if found is not None:
        raise UsageError(
            Refusal.UNKNOWN_FORMAT,
            f"{printable(folder)} is a data set of TFDS's whose records lie in {found[1]} files ({found[0]}): "
            f"convert it first (tfds convert_format --dataset_version_dir={printable(folder)} "
            "--out_file_format=tfrecord --out_dir=FOLDER)",
        )


def _by_kind(paths: Iterable[tuple[str, int]]) -> dict[str | None, list[tuple[str, int]]]:
    """The files by kind; None for those that are of no source.

    Files whose ending says nothing are told by the first bytes of one of those that are named alike.
    """
    by_kind: dict[str | None, list[tuple[str, int]]] = {}
    unnamed: dict[str, list[tuple[str, int]]] = {}
    for path, size in paths:
        kind = _kind_by_name(path)
        if kind is _UNKNOWN:
            alike = _SHARD.sub("", file_name(path))
            unnamed.setdefault(alike.rpartition(".")[2] if "." in alike else alike[:1], []).append((path, size))
        else:
            by_kind.setdefault(kind, []).append((path, size))
    for alike_files in unnamed.values():
        largest = max(alike_files, key=lambda named: named[1])[0]
        by_kind.setdefault(_kind_by_bytes(largest), []).extend(alike_files)
    return {kind: sorted(found) for kind, found in by_kind.items()}


_UNKNOWN = "unknown"


def _kind_by_name(path: str) -> str | None:
    """The kind that a name tells; None for what is of no source, `_UNKNOWN` where it tells nothing."""
    name = file_name(path).lower()
    if name.startswith(".") or _is_text(path) or name in (NEMO_MANIFEST, *_OF_DATASETS):
        return None
    for kind in (PARQUET, WEBDATASET, TFRECORD, KALDI, LHOTSE, AUDIO, MANIFEST):
        if _is_of(kind, path):
            return kind
    # `_SUCCESS`, `_metadata`: what Spark and others write beside tables, and read none of as data.
    return None if name.startswith("_") else _UNKNOWN


def _is_text(path: str) -> bool:
    return file_name(path).lower().endswith(_TEXT_ENDINGS)


def _is_of(kind: str, path: str) -> bool:
    """Whether a file's name is that of a kind."""
    name = file_name(path).lower()
    if kind == TFRECORD:
        return ".tfrecord" in name
    if kind == KALDI:
        return name == WAV_SCP
    if kind == LHOTSE:
        return _CUTS.fullmatch(name) is not None
    endings = {
        PARQUET: (".parquet",),
        WEBDATASET: TAR_ENDINGS,
        AUDIO: AUDIO_ENDINGS,
        MANIFEST: MANIFEST_ENDINGS,
    }[kind]
    return name.endswith(endings)


def _kind_by_bytes(path: str) -> str | None:
    """The kind that a file's first bytes tell; None where they tell nothing."""
    with files.open_file(path) as file:
        head = file.read(audio_files.HEAD)
    if head[:4] == b"PAR1":
        return PARQUET
    if head[257:262] == b"ustar":
        return WEBDATASET
    if length_of(head[:HEADER]) is not None or is_compressed(path):
        return TFRECORD
    # Behind those that have a checksum or `ustar`: a record's length and a member's name may begin with any bytes.
    return AUDIO if foreign.of_beginning(head) is None and name_of_beginning(head) is not None else None


def is_lhotse(path: str) -> bool:
    """Whether a manifest of JSON lines holds lhotse's cuts, whatever it is called."""
    with open_text(path) as file:
        line = next(Lines(file), b"")
    return line.lstrip()[:1] == b"{" and b'"recording"' in line and b'"supervisions"' in line
