"""Options that are none are refused by name: in Python, and by ExtractLogMel when the pipeline is built."""

import pytest

from melbeam.transforms import ExtractLogMel, FrontEnd
from melbeam.transforms.records.options import RecordOptions

WRONG = [
    ({"precision": None}, "precision must be one of .*, got None"),
    ({"precision": "float16"}, "precision must be one of"),
    ({"dtype": None}, "dtype must be one of .*, got None"),
    ({"encoding": "yes"}, "encoding must be one of .*, got 'yes'"),
    ({"on_long": 0}, "on_long must be one of .*, got 0"),
    ({"audio_format": None}, "audio_format must be one of"),
    ({"pad_to_max_length": "yes"}, "pad_to_max_length must be 'auto', 'on' or 'off', got 'yes'"),
    ({"pad_to_max_length": None}, "got None"),
    ({"pad_to_max_length": 1}, "got 1"),
    ({"pcm_sampling_rate": 16}, r"pcm_sampling_rate must be in \[1000, 768000\] Hz, got 16"),
    ({"pcm_sampling_rate": 0}, "got 0"),
    ({"pcm_sampling_rate": "16000"}, "pcm_sampling_rate must be a whole number, .*got '16000'"),
    ({"pcm_sampling_rate": True}, "got True"),
    ({"max_audio_seconds": None}, "max_audio_seconds must be a finite number, .*got None"),
    ({"max_audio_seconds": 0}, "max_audio_seconds must be above 0"),
    ({"max_audio_seconds": float("inf")}, "got inf"),
    ({"max_record_bytes": 0}, "max_record_bytes must be in"),
    ({"max_record_bytes": 1.5}, "max_record_bytes must be a whole number"),
    ({"max_record_bytes": 1 << 31}, "got 2147483648"),
    ({"dtype": "float16", "encoding": "float_list"}, "stores float32 only"),
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_a_wrong_option(options, said):
    for build in (RecordOptions, ExtractLogMel):
        with pytest.raises(ValueError, match=said):
            build(**options)


@pytest.mark.parametrize("front_end", [None, "", "yes", "gemma5"])
def test_a_front_end_that_is_none(front_end):
    with pytest.raises(ValueError, match=f"nothing is called '{front_end}'"):
        ExtractLogMel(front_end)


def test_a_front_end_of_any_length_has_none_to_pad_to():
    endless = FrontEnd.load("gemma4").replace(max_audio_length=None)
    with pytest.raises(ValueError, match="has no max_audio_length"):
        ExtractLogMel(endless, pad_to_max_length=True)


@pytest.mark.parametrize(
    ("front_end", "given", "pads"),
    [
        *(("gemma4", "auto", False), ("whisper", "auto", True), ("gemma4", "on", True), ("whisper", "off", False)),
        *(("gemma4", True, True), ("whisper", False, False)),
    ],
)
def test_padding_asks_the_model_unless_it_is_said(front_end, given, pads):
    assert RecordOptions(pad_to_max_length=given).pads(FrontEnd.load(front_end)) is pads
