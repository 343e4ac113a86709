"""Why a record was turned away: the closed list of reject reasons and the error that carries one."""

REASONS: tuple[str, ...] = (
    "not_an_example",  # the bytes are no tf.train.Example
    "no_audio",  # the Example has no audio feature, or an empty one
    "bad_audio",  # the audio cannot be decoded
    "empty_audio",  # the audio decodes to no samples
    "too_short",  # the audio gives no frame
    "too_long",  # longer than the front end takes, and on_long is "reject"
    "not_finite",  # the samples hold NaN or infinity
    "out_of_range",  # the samples have a peak that no recording has, as where they were never divided by 32768
    "rate_mismatch",  # the bytes and the record name different sampling rates
    "bad_checksum",  # the TFRecord's data checksum does not hold
    "bad_framing",  # bytes between TFRecords that belong to none
    "bad_field",  # a feature has the wrong type or more values than one
    "over_limit",  # larger or longer than a limit that an option sets
    "converter_error",  # the converter itself failed on this audio
)


class Reject(Exception):
    """A record that cannot be converted.

    Attributes:
        reason: one of `REASONS`; stable, for counting.
        detail: one sentence for a person: the value that was wrong and the bound it broke.
    """

    def __init__(self, reason: str, detail: str) -> None:
        if reason not in REASONS:
            raise ValueError(f"unknown reject reason {reason!r}; the reasons are {', '.join(REASONS)}")
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"
