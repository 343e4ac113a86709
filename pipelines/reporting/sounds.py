"""The sound of pictured clips, as the front end received it, where their source is at hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import soundfile

from melbeam.pipelines.reporting.clips import Clip
from melbeam.pipelines.reporting.parts import Part
from melbeam.pipelines.sources.units import AudioRecord
from melbeam.pipelines.split.plan import Shard, find_parts, read_plan
from melbeam.transforms.records.examples import read_as_converted
from melbeam.transforms.records.options import RecordOptions
from melbeam.transforms.records.record_ids import parts_of_channel, without_chunk
from melbeam.transforms.records.rejects import Reject

LONGEST_SECONDS = 60.0  # of one player: FLAC, some 15 kB a second


class NotAtHand(Exception):
    """The clip's sound cannot be read again; the message says why."""


@dataclass(frozen=True)
class Sounds:
    """Where the sounds of a split's clips are found again."""

    part: Part

    @cached_property
    def _shards(self) -> list[Shard]:
        return list(read_plan(self.part.folder.plan))

    def of(self, clip: Clip) -> bytes:
        """The clip as a FLAC file, mono, at the front end's rate; its first minute, if it is longer.

        The clip's shard of the input is read up to the clip.

        Raises:
            NotAtHand: the input is not where it was, or not what it was.
        """
        place, rate = clip.fields["source"].decode(errors="replace"), self.part.front_end.sampling_rate
        try:
            options = RecordOptions.of(self.part.options)
            found = self._records(clip.shard, options.max_record_bytes)
            record = next((item for item in found if item.place == place), None)
            if record is None:
                raise NotAtHand(f"{place} is not there any more")
            example = read_as_converted(record.data, options, rate)
            samples = example.audio.samples
            clip_id = without_chunk(clip.id, clip.fields.get("chunk_index"))
            found_as = (clip_id, None) if samples.ndim == 1 else parts_of_channel(clip_id)
            if found_as is None or found_as[0] != example.id:
                raise NotAtHand(f"{place} is another record by now: its id is {example.id}")
            if found_as[1] is not None:
                samples = samples[:, found_as[1]]
        except (OSError, ValueError, TypeError, Reject, IndexError) as error:
            raise NotAtHand(str(error)) from error
        first = int(clip.fields.get("start_sample", 0))
        kept = samples[first : first + min(int(clip.fields["num_samples"]), round(LONGEST_SECONDS * rate))]
        file = io.BytesIO()
        soundfile.write(file, np.clip(kept, -1, 1), rate, format="FLAC", subtype="PCM_16")
        return file.getvalue()

    def _records(self, number: int, most: int) -> Iterator[AudioRecord]:
        shard = self._shards[number]
        if shard.unit.num_parts > 1 and shard.unit.num_records is None:
            # Only a look through the file tells where in it a part begins.
            same_file = [other for other in self._shards if other.path == shard.path]
            shard = next(one for one in find_parts(same_file, most) if one.index == number)
        return (item for item in shard.read(most) if isinstance(item, AudioRecord))
