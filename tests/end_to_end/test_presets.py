"""melbeam presets, and presets as the front end of a job."""

import pytest

from melbeam.pipelines import presets
from melbeam.transforms import FrontEnd
from melbeam.transforms.presets import built_in


def test_the_lists_name_each_front_end_and_each_preset_with_its_size_and_whether_it_hears(capsys):
    assert presets.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    by_name = {line.split()[0]: line for line in lines if line}
    assert set(by_name) == {"front", "preset", *FrontEnd.shipped(), *built_in()}
    assert (
        f"{FrontEnd.load('gemma4').fingerprint[:16]}   128  16000     30 s  a mask, the default"
        in by_name["gemma4"]
    )
    assert by_name["whisper"].endswith("80  16000     30 s  the full length")
    assert "5,100 M  gemma4     Gemma 4 E2B base model" in by_name["gemma4_2b"]
    assert "no audio" in by_name["gemma4_31b"]
    assert "37 M  whisper" in by_name["whisper_tiny_en"]


@pytest.mark.parametrize("handle", ["gemma4_2b", "gemma4"])
def test_one_preset_is_printed_as_yaml_that_loads_again(capsys, handle):
    assert presets.main([handle]) == 0
    printed = capsys.readouterr().out
    assert FrontEnd.from_yaml(printed) == FrontEnd.load("gemma4")
    assert FrontEnd.load("gemma4").fingerprint in printed


def test_a_wrong_name_is_a_wrong_call(capsys):
    assert presets.main(["gemma5"]) == 2
    assert "nothing is called 'gemma5'" in capsys.readouterr().err
