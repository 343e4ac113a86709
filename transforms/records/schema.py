"""Every field of an audio, a feature and a reject record: its type, what it holds, and when it is there.

The writer, the TFDS metadata, `read_features`, `melbeam verify` and the documentation's tables read them here.
"""

from __future__ import annotations

from dataclasses import dataclass

# The features of a clip; and, where they are stored without them, the rows behind that a model must be given.
TENSOR, TAIL = "input_features", "input_features_tail"
# Only rejects have this field.
REJECT = "melbeam_reject"
# The lists of a tf.train.Feature, by the names of its oneof.
BYTES, INT64, FLOAT = "bytes_list", "int64_list", "float_list"
KINDS = (BYTES, INT64, FLOAT)
_IN_WORDS = {BYTES: "bytes", INT64: "int64", FLOAT: "float"}

# No protobuf reader takes a larger message.
MAX_EXAMPLE_BYTES = (1 << 31) - 1  # 2 GiB - 1
# Raised whenever the bytes of the same records change, if only in the last bits of a value.
RECORD_VERSION = 2


def why_newer(version: object) -> str | None:
    """Says of a record version that a later melbeam wrote, in a clause, why it is not read; None of the others."""
    if not isinstance(version, int) or version <= RECORD_VERSION:
        return None
    return (
        f"record_version is {version}, this melbeam knows 1 to {RECORD_VERSION}: take the melbeam that wrote the "
        "folder, or a later one"
    )


@dataclass(frozen=True)
class Field:
    """A field of a record.

    Attributes:
        name: the feature's name in the tf.train.Example.
        kind: the list that holds it, one of `KINDS`.
        meaning: what it holds, for people; Markdown.
        when: when it is there, for people; empty where it always is.
        is_list: whether it holds any number of values; else it holds just one.
        since: the `RECORD_VERSION` from which on it is written.
    """

    name: str
    kind: str
    meaning: str
    when: str = ""
    is_list: bool = False
    since: int = 1

    @property
    def type_in_words(self) -> str:
        """The type as the documentation's tables show it."""
        words = _IN_WORDS[self.kind] + (" list" if self.is_list else "")
        return f"{words}, {self.when}" if self.when else words


AUDIO_RECORD = (
    Field("audio", BYTES, "a whole file: WAV, FLAC, MP3, Ogg and what docs/audio.md lists; or raw 16-bit samples"),
    Field("audio", INT64, "samples as TFDS stores them, of 16 bits", when="in place of bytes", is_list=True),
    Field("audio", FLOAT, "samples in [-1, 1)", when="in place of bytes", is_list=True),
    Field("id", BYTES, "UTF-8; the default is the SHA-256 of the audio, in hex", when="optional"),
    Field(
        "sampling_rate",
        INT64,
        "Hz; needed for raw samples and lists unless `--pcm_sampling_rate` names it. Another one than the audio's "
        "own header says is a reject",
        when="optional",
    ),
)

FEATURE_RECORD = (
    Field(
        "id",
        BYTES,
        "the audio record's; `id@c` of its channel c, with `--channels=split`; `id#k` for chunk k of a long clip",
    ),
    Field(
        TENSOR,
        BYTES,
        "`[rows, num_mels]`, raw little-endian; a float list with `--encoding=float_list`. There are `num_frames` "
        "rows, or all that the model takes, where clips are stored padded",
    ),
    Field("num_frames", INT64, "valid frames"),
    Field("num_audio_tokens", INT64, "tokens that the model makes of them", when="where the model has them"),
    Field("num_samples", INT64, "samples as the front end received them"),
    Field("sampling_rate", INT64, "Hz of those samples"),
    Field("source", BYTES, "input file and record number, `audio/train-00000-of-00016.tfrecord#12`"),
    Field("front_end", BYTES, "first 16 hex digits of the front end's fingerprint"),
    Field("rms_dbfs", FLOAT, "level of the samples: 20 log10 of their root mean square", since=2),
    Field("peak_dbfs", FLOAT, "20 log10 of the largest absolute sample", since=2),
    Field("full_scale_fraction", FLOAT, "share of the samples at 16-bit full scale or above", since=2),
    Field("silent_fraction", FLOAT, "share of blocks of 10 ms whose level is below -60 dBFS", since=2),
    Field("truncated", INT64, "1", when="where the clip was cut", since=2),
    Field("chunk_index", INT64, "number of the chunk in its clip, from 0", when="in chunks"),
    Field("start_sample", INT64, "the chunk's first sample in its clip", when="in chunks"),
    Field(
        "text_is_of_whole_clip",
        INT64,
        "1; or 0 where the clip was cut between its texts, and `text` is what is said in the chunk",
        when="in chunks with a `text`, and in all of a clip that was cut between its texts",
        since=2,
    ),
    Field(
        TAIL,
        BYTES,
        "`[k, num_mels]`, raw, of `input_features`' dtype: the rows behind `num_frames` up to the first silent "
        "one, which all later rows equal. `read_features` restores the full length from it",
        when="where the model takes the full length and clips are stored without it",
        since=2,
    ),
)

REJECT_RECORD = (
    Field(REJECT, INT64, "1"),
    Field("id", BYTES, "the record's", when="where it has one", since=2),
    Field("record", BYTES, "the bytes as they were read; of a record above a limit only the beginning"),
    Field("reason", BYTES, "one of the reasons below"),
    Field("detail", BYTES, "a sentence with the value and the bound"),
    Field("source", BYTES, "input file and record number"),
)

# What is taken out of an audio record; everything else is passed through.
CONSUMED = tuple(dict.fromkeys(field.name for field in AUDIO_RECORD))
# What melbeam writes itself; no audio record may have a feature of such a name.
RESERVED = tuple(name for name in (*(field.name for field in FEATURE_RECORD), REJECT) if name not in CONSUMED)
# Beside an audio record's features, where a clip's texts have their times: `records.segments` writes and reads it.
SEGMENTS = "melbeam_segments"
# The name under which every source gives a transcript.
TEXT = "text"


def markdown_table(title: str, fields: tuple[Field, ...]) -> str:
    """The fields as the documentation shows them: a Markdown table with a title in its first column's head."""
    rows = [f"| {title} | type | |", "|---|---|---|"]
    previous = ""
    for field in fields:
        name = "" if field.name == previous else f"`{field.name}`"
        rows.append(f"| {name} | {field.type_in_words} | {field.meaning} |")
        previous = field.name
    return "\n".join(rows)
