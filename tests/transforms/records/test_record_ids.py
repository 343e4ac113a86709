"""The ids of pieces, and back."""

import pytest

from melbeam.transforms.records.record_ids import id_of_piece, parts_of_channel, without_chunk


@pytest.mark.parametrize("audio_id", ["clip", "a@b#c", "line\nfeed", "a.wav@1.5-2"])
@pytest.mark.parametrize("channel", [None, 0, 12])
@pytest.mark.parametrize("chunk", [None, 0, 7])
def test_an_id_leads_back_to_its_parts(audio_id, channel, chunk):
    clip_id = without_chunk(id_of_piece(audio_id, channel, chunk), chunk)
    assert clip_id == id_of_piece(audio_id, channel, None)
    if channel is not None:
        assert parts_of_channel(clip_id) == (audio_id, channel)


def test_what_the_documentation_says():
    assert id_of_piece("id", 0, None) == "id@0"
    assert id_of_piece("id", None, 1) == "id#1"
    assert parts_of_channel("clip.wav") is None
