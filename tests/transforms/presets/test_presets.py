"""Presets: built-in names, folders in every layout, broken files, and the hubs' protocols on a local server."""

import contextlib
import http.server
import json
import math
import re
import threading
import time
from typing import ClassVar

import numpy as np
import pytest

from melbeam.transforms import (
    AudioConverter,
    FrontEnd,
    Gemma3nAudioConverter,
    Gemma4AudioConverter,
    WhisperAudioConverter,
)
from melbeam.transforms.presets import PresetError, built_in, find_front_end, load_preset, loading, save_preset
from melbeam.transforms.presets.own_files import to_own
from melbeam.transforms.presets.preset import OWN_FILE

# As the published files are.
KERAS_CHECKPOINT = {
    "module": "keras_hub.src.models.gemma4.gemma4_audio_converter",
    "class_name": "Gemma4AudioConverter",
    "config": {
        "name": "gemma4_audio_converter",
        "trainable": True,
        "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        "num_mels": 128,
        "num_fft_bins": 512,
        "stride": 160,
        "sampling_rate": 16000,
        "max_audio_length": 30,
        "min_frequency": 0.0,
        "max_frequency": 8000.0,
        "mel_floor": 0.001,
        "per_bin_mean": None,
        "per_bin_stddev": None,
        "frame_length": 320,
    },
    "registered_name": "keras_hub>Gemma4AudioConverter",
}
EXTRACTOR = {
    "dither": 0.0,
    "feature_extractor_type": "Gemma4AudioFeatureExtractor",
    "feature_size": 128,
    "fft_length": 512,
    "fft_overdrive": False,
    "frame_length": 320,
    "hop_length": 160,
    "input_scale_factor": 1.0,
    "max_frequency": 8000.0,
    "mel_floor": 0.001,
    "min_frequency": 0.0,
    "padding_side": "right",
    "padding_value": 0.0,
    "per_bin_mean": None,
    "per_bin_stddev": None,
    "preemphasis": 0.0,
    "preemphasis_htk_flavor": True,
    "return_attention_mask": True,
    "sampling_rate": 16000,
}
GEMMA3N = {
    **EXTRACTOR,
    "feature_extractor_type": "Gemma3nAudioFeatureExtractor",
    "fft_length": 1024,
    "fft_overdrive": True,
    "frame_length": 512,
    "max_frequency": 7600.0,
    "mel_floor": 1e-05,
    "min_frequency": 125.0,
    "preemphasis": 0.97,
}
# The image processor's, in the one flat file that Gemma 3n's processor shares with it.
IMAGE_PROCESSOR = {
    "image_processor_type": "SiglipImageProcessorFast",
    "do_normalize": False,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_seq_length": 256,
    "image_std": [0.5, 0.5, 0.5],
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 768, "width": 768},
}
WHISPER = {
    "feature_extractor_type": "WhisperFeatureExtractor",
    "processor_class": "WhisperProcessor",
    "feature_size": 80,
    "sampling_rate": 16000,
    "padding_value": 0.0,
    "padding_side": "right",
    "return_attention_mask": False,
    "n_fft": 400,
    "hop_length": 160,
    "chunk_length": 30,
    "n_samples": 480000,
    "nb_max_frames": 3000,
    "mel_filters": [[0.0, 0.1]],
}


def keras(**changes):
    """KERAS_CHECKPOINT with changes to its config; None removes."""
    config = {**KERAS_CHECKPOINT["config"], **changes}
    removed = [name for name in changes if changes[name] is None]
    return {**KERAS_CHECKPOINT, "config": {name: config[name] for name in config if name not in removed}}


@pytest.fixture
def folder(tmp_path):
    def write(**contents):
        for name, content in contents.items():
            (tmp_path / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path

    return write


class TestBuiltIn:
    def test_those_with_audio_load_offline(self):
        for name, preset in built_in().items():
            if preset.has_audio:
                assert load_preset(name).front_end == FrontEnd.load(preset.family)
                assert load_preset(name).family == preset.family
        assert {name for name, p in built_in("gemma4").items() if p.has_audio} == {
            "gemma4_2b",
            "gemma4_instruct_2b",
            "gemma4_4b",
            "gemma4_instruct_4b",
        }
        assert len(built_in("gemma4")) == 8

    @pytest.mark.parametrize(
        "name", ["gemma4_26b_a4b", "gemma4_instruct_26b_a4b", "gemma4_31b", "gemma4_instruct_31b"]
    )
    def test_those_without_audio_name_those_with(self, name):
        with pytest.raises(PresetError, match=f"'{name}' has no audio encoder; .*gemma4_2b, gemma4_instruct_2b"):
            AudioConverter.from_preset(name)

    def test_a_wrong_name_gets_the_nearest(self):
        with pytest.raises(PresetError, match="did you mean 'whisper_base_en'"):
            load_preset("whisper_base_eng")

    @pytest.mark.parametrize("name", ["gemma4", "whisper_large_v3"])
    def test_a_front_end_is_no_preset(self, name):
        with pytest.raises(PresetError, match=rf"the name of a front end, .* go to AudioConverter\('{name}'\)"):
            load_preset(name)

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("google/gemma-4-E2B-it", "hf://google/gemma-4-E2B-it"),
            ("google/gemma-4-E2B-it@main", "hf://google/gemma-4-E2B-it@main"),
            ("https://huggingface.co/google/gemma-4-E2B-it", "hf://google/gemma-4-E2B-it"),
            ("huggingface.co/google/gemma-4-E2B-it/tree/main", "hf://google/gemma-4-E2B-it"),
            ("keras/gemma4/keras/gemma4_2b/2", "kaggle://keras/gemma4/keras/gemma4_2b/2"),
            (
                "https://www.kaggle.com/models/keras/gemma4/keras/gemma4_2b",
                "kaggle://keras/gemma4/keras/gemma4_2b",
            ),
        ],
    )
    @pytest.mark.parametrize("load", [load_preset, find_front_end, AudioConverter, AudioConverter.from_preset])
    def test_a_handle_without_its_beginning_is_asked_about(self, load, name, meant):
        with pytest.raises(ValueError, match=re.escape(f"did you mean {meant}? ")):
            load(name)

    @pytest.mark.parametrize("name", ["configs/mine.yaml", "./my/folder", "/no/such/folder", "../a/b"])
    def test_a_path_that_is_not_there_is_no_handle(self, name):
        with pytest.raises(PresetError, match=f"nothing is called '{name}': It may be"):
            load_preset(name)

    def test_each_has_a_size_a_description_and_a_handle(self):
        for preset in AudioConverter.presets.values():
            assert preset.parameters > 1e7
            assert len(preset.description) > 20
            assert preset.handle.startswith("kaggle://keras/")


class TestConverters:
    def test_the_base_class_picks_the_subclass(self):
        classes = {"gemma4_2b": Gemma4AudioConverter, "gemma3n_e2b": Gemma3nAudioConverter}
        classes["whisper_base_en"] = WhisperAudioConverter
        for name, cls in classes.items():
            assert type(AudioConverter.from_preset(name)) is cls
            assert type(cls.from_preset(name)) is cls

    def test_a_subclass_refuses_another_models_preset(self):
        with pytest.raises(ValueError, match="gemma4_2b is a preset of gemma4, not of WhisperAudioConverter"):
            WhisperAudioConverter.from_preset("gemma4_2b")

    def test_presets_are_those_of_the_class(self):
        assert set(Gemma4AudioConverter.presets) == set(built_in("gemma4"))
        assert set(AudioConverter.presets) == set(built_in())

    def test_overrides(self):
        converter = Gemma4AudioConverter.from_preset(
            "gemma4_2b", load_weights=False, pad_to_max_length=False, precision="float32", name="ears", stride=80
        )
        assert (converter.precision, converter.name, converter.pad_to_max_length) == ("float32", "ears", False)
        assert converter.front_end == FrontEnd.load("gemma4").replace(hop_length=80)
        documented = AudioConverter.from_preset("whisper_base_en", num_fft_bins=512)
        assert (documented.front_end.frame_length, documented.front_end.fft_length) == (512, 512)
        with pytest.raises(ValueError, match="unknown front end field mels"):
            AudioConverter.from_preset("gemma4_2b", mels=80)

    def test_overrides_that_would_be_passed_over_are_refused(self):
        # Each is the default of an argument of the class, which stands for "not given" beside a front end.
        with pytest.raises(ValueError, match="stride and hop_length are one number, hop_length"):
            AudioConverter.from_preset("gemma4_2b", stride=160, hop_length=200)
        with pytest.raises(ValueError, match="num_fft_bins and fft_length are one number"):
            AudioConverter.from_preset("gemma4_2b", num_fft_bins=400, fft_length=1024)
        for override in ({"frame_length_ms": 32.0}, {"hop_length_ms": 10.0}, {"fft_overdrive": True}):
            (name,) = override
            with pytest.raises(ValueError, match=f"{name} is no field of a preset's: override frame_length"):
                AudioConverter.from_preset("gemma3n_e2b", **override)

    def test_a_preset_names_a_front_end_everywhere(self):
        assert find_front_end("gemma4_2b") == FrontEnd.load("gemma4")
        assert AudioConverter("whisper_base_en").front_end == FrontEnd.load("whisper")


class TestFiles:
    def test_keras_with_frame_length_is_the_checkpoints(self, folder):
        found = load_preset(folder(audio_converter=KERAS_CHECKPOINT, config={"registered_name": "x"}))
        assert found.front_end.fingerprint == FrontEnd.load("gemma4").fingerprint

    def test_keras_of_027_is_the_documented(self, folder):
        content = keras(frame_length=None, num_fft_bins=400, mel_floor=1e-5)
        found = load_preset(folder(audio_converter=content))
        assert found.front_end.fingerprint == FrontEnd.load("gemma4_documented").fingerprint

    @pytest.mark.parametrize("bins", [512, None])
    def test_keras_that_could_be_both_is_an_error(self, folder, bins):
        with pytest.raises(PresetError, match=r"keras-hub 0.27 and 0.28 would compute different features"):
            load_preset(folder(audio_converter=keras(frame_length=None, num_fft_bins=bins)))

    def test_normalisation_is_kept(self, folder):
        content = keras(per_bin_mean=[0.5] * 128, per_bin_stddev=[2.0] * 128)
        front_end = load_preset(folder(audio_converter=content)).front_end
        assert (front_end.per_bin_mean, front_end.per_bin_stddev) == ((0.5,) * 128, (2.0,) * 128)

    @pytest.mark.parametrize("extractor", [EXTRACTOR, GEMMA3N])
    def test_normalisation_as_transformers_writes_it(self, folder, extractor):
        """`np.array(per_bin_mean).reshape(1, 1, feature_size).tolist()`: Gemma4AudioFeatureExtractor, 5.24."""
        mean, stddev = [0.25 * number for number in range(128)], [2.0] * 128
        changed = {**extractor, "per_bin_mean": [[mean]], "per_bin_stddev": [[stddev]]}
        front_end = load_preset(folder(preprocessor_config=changed)).front_end
        assert (front_end.per_bin_mean, front_end.per_bin_stddev) == (tuple(mean), tuple(stddev))
        with pytest.raises(PresetError, match="per_bin_mean"):
            load_preset(folder(preprocessor_config={**extractor, "per_bin_mean": [mean, mean]}))

    @pytest.mark.parametrize(
        ("name", "content"), [("gemma4", EXTRACTOR), ("gemma3n", GEMMA3N), ("whisper", WHISPER)]
    )
    def test_both_layouts_of_hugging_face(self, folder, name, content):
        flat = load_preset(folder(preprocessor_config=content))
        assert (flat.front_end.fingerprint, flat.family) == (FrontEnd.load(name).fingerprint, name)
        nested = load_preset(folder(processor_config={"feature_extractor": content, "image_processor": {}}))
        assert nested == flat

    def test_whisper_large_v3(self, folder):
        front_end = load_preset(folder(preprocessor_config={**WHISPER, "feature_size": 128})).front_end
        assert front_end.fingerprint == FrontEnd.load("whisper_large_v3").fingerprint

    def test_a_file_that_the_image_processor_shares(self, folder):
        front_end = load_preset(folder(preprocessor_config={**GEMMA3N, **IMAGE_PROCESSOR})).front_end
        assert front_end.fingerprint == FrontEnd.load("gemma3n").fingerprint
        alone = {name: IMAGE_PROCESSOR[name] for name in ("do_normalize", "size")}
        with pytest.raises(PresetError, match="will not ignore: do_normalize = False, size = "):
            load_preset(folder(preprocessor_config={**GEMMA3N, **alone}))

    def test_a_file_by_its_path(self, folder):
        path = folder(audio_converter=KERAS_CHECKPOINT) / "audio_converter.json"
        assert load_preset(path).family == "gemma4"
        assert find_front_end(path).fingerprint == FrontEnd.load("gemma4").fingerprint

    def test_the_number_of_tokens_is_taken_whichever_file_has_the_extractor(self, folder):
        nested = folder(processor_config={"feature_extractor": EXTRACTOR, "audio_seq_length": 7})
        assert load_preset(nested).front_end.max_audio_tokens == 7
        older = folder(processor_config={"audio_seq_length": 7}, preprocessor_config=GEMMA3N)
        assert load_preset(older).front_end.max_audio_tokens == 7
        wrong = folder(processor_config={"audio_seq_length": "many"})
        with pytest.raises(PresetError, match=r"processor_config.json: audio_seq_length: .* got 'many'"):
            load_preset(wrong)

    def test_a_model_without_audio_beside_a_processor_with_it(self, folder):
        config = {"model_type": "gemma4", "audio_config": None, "vision_config": {}}
        silent = folder(processor_config={"feature_extractor": EXTRACTOR}, config=config)
        with pytest.raises(PresetError, match="has no 'audio_config': this Gemma 4 model has no audio encoder"):
            load_preset(silent)
        assert load_preset(folder(config={**config, "audio_config": {"hidden_size": 1024}})).family == "gemma4"

    def test_a_file_of_the_image_processor_alone(self, folder):
        with pytest.raises(PresetError, match=r"preprocessor_config.json is of the image processor alone"):
            load_preset(folder(preprocessor_config=IMAGE_PROCESSOR))
        both = folder(processor_config={"feature_extractor": EXTRACTOR}, preprocessor_config=IMAGE_PROCESSOR)
        assert load_preset(both).family == "gemma4"

    def test_a_wrong_file_is_not_passed_over_for_another(self, folder):
        wrong = {"feature_extractor": {**EXTRACTOR, "dither": 1e-4}}
        with pytest.raises(PresetError, match=r"processor_config.json: dither must be 0.0"):
            load_preset(folder(processor_config=wrong, preprocessor_config=EXTRACTOR))

    def test_computed_fields_are_computed(self, folder):
        content = {
            **EXTRACTOR,
            "preemphasis": 0.9,
            "preemphasis_htk_flavor": False,
            "input_scale_factor": 2.0,
            "fft_overdrive": True,
            "fft_length": 1024,
            "per_bin_mean": [1.0] * 128,
        }
        front_end = load_preset(folder(preprocessor_config=content)).front_end
        expected = {"preemphasis": 0.9, "preemphasis_htk_flavor": False, "input_scale_factor": 2.0}
        expected |= {"fft_length": 1024, "per_bin_mean": (1.0,) * 128}
        assert {name: getattr(front_end, name) for name in expected} == expected

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"num_mel_filters": 128}, "num_mel_filters = 128, which transformers ignores: rename it"),
            ({"mel_floor": None}, "has no 'mel_floor': the published models have 0.001"),
            ({"padding_side": "left"}, "padding_side must be 'right', got 'left': clips would begin"),
            ({"padding_value": 0.5}, "padding_value must be 0.0, got 0.5"),
            ({"dither": 1e-4}, "dither must be 0.0, got 0.0001: noise"),
            ({"frame_length": 400}, "frame_length is 400, but transformers ignores it and takes 320"),
            ({"fft_length": 400}, "fft_length is 400, but transformers ignores it and takes 512"),
            ({"top_db": 80}, "fields that melbeam does not know, and will not ignore: top_db = 80"),
            ({"fft_overdrive": "false"}, "fft_overdrive must be true or false, got 'false'"),
            ({"frame_length_ms": math.inf}, "frame_length_ms must be a finite number above 0, got inf"),
            ({"hop_length_ms": True}, "hop_length_ms must be a finite number above 0, got True"),
            ({"frame_length_ms": 0.001}, "frame_length_ms gives frames of 0 samples at 16000 Hz"),
            ({"sampling_rate": "16k"}, "sampling_rate must be a whole number of at least 1, got '16k'"),
            ({"max_frequency": 9000.0}, "max_frequency must be at most half the sampling rate"),
            (
                {"sampling_rate": 11025, "max_frequency": 5000.0, "frame_length": 220, "hop_length": 110}
                | {"fft_length": 256},
                "sampling_rate must be even, got 11025: transformers lays the spectrum's bins from 0 to 5512 Hz",
            ),
            ({"feature_extractor_type": "Gemma4UnifiedAudioFeatureExtractor"}, "takes raw waveforms, 640 samples"),
            ({"feature_extractor_type": "Wav2Vec2FeatureExtractor"}, "must be one of .* got 'Wav2Vec2"),
        ],
    )
    def test_files_seen_in_the_wild_and_worse(self, folder, change, message):
        content = {name: value for name, value in {**EXTRACTOR, **change}.items() if value is not None}
        with pytest.raises(PresetError, match=message) as error:
            load_preset(folder(preprocessor_config=content))
        assert "preprocessor_config.json" in str(error.value)

    @pytest.mark.parametrize("field", ["hop_length", "n_fft", "chunk_length", "sampling_rate"])
    @pytest.mark.parametrize("value", [0, -1, None, "400", math.inf, math.nan])
    def test_whispers_numbers(self, folder, field, value):
        with pytest.raises(PresetError, match=f"{field} must be a finite number above 0"):
            load_preset(folder(preprocessor_config={**WHISPER, field: value}))

    def test_whispers_odd_rate(self, folder):
        content = {**WHISPER, "sampling_rate": 11025, "n_samples": 330750, "nb_max_frames": 2067}
        with pytest.raises(PresetError, match="sampling_rate must be even, got 11025"):
            load_preset(folder(preprocessor_config=content))

    def test_no_feature_extractor_key(self, folder):
        with pytest.raises(PresetError, match=r"processor_config.json has no 'feature_extractor'"):
            load_preset(folder(processor_config={"image_processor": {}}))
        both = folder(processor_config={"image_processor": {}}, preprocessor_config=EXTRACTOR)
        assert load_preset(both).family == "gemma4"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"class_name": "Gemm', "is no whole JSON .*fetch or write it again"),
            ("[" * 100_000, "is no whole JSON"),
            (
                json.dumps(KERAS_CHECKPOINT).replace('"stride": 160', '"stride": 160, "stride": 80'),
                r"is no whole JSON \('stride' stands twice in an object\)",
            ),
            ("[]", "must hold a JSON object, got list"),
            (
                {**KERAS_CHECKPOINT, "registered_name": "keras_hub>WhisperAudioConverter"},
                "'Gemma4AudioConverter' and registered_name 'keras_hub>WhisperAudioConverter' contradict",
            ),
            ({"class_name": "MoonshineAudioConverter", "config": {}}, "class_name must be one of"),
            (keras(dither=0.1), "does not know, and will not ignore: dither = 0.1"),
            (keras(mel_floor=None), "has no 'mel_floor': the checkpoints have 0.001"),
            (keras(num_mels=-1), "num_mels must be a whole number of at least 1, got -1"),
        ],
    )
    def test_broken_keras_files(self, folder, content, message):
        with pytest.raises(PresetError, match=message):
            load_preset(folder(audio_converter=content))

    def test_keras_gemma3n_whose_frames_begin_elsewhere(self, folder):
        config = {"mel_floor": 1e-5, "preemphasis_htk_flavor": False}
        with pytest.raises(PresetError, match="preemphasis_htk_flavor must be true, got false"):
            load_preset(folder(audio_converter={"class_name": "Gemma3nAudioConverter", "config": config}))

    @pytest.mark.parametrize(
        ("files", "field"),
        [
            ({"audio_converter": {**KERAS_CHECKPOINT, "sample_rate": 8000}}, "sample_rate = 8000"),
            ({"audio_converter": keras(center=True)}, "center = True"),
            ({"processor_config": {"feature_extractor": EXTRACTOR, "gain": 2.0}}, "gain = 2.0"),
            ({"processor_config": {"feature_extractor": {**EXTRACTOR, "gain": 2.0}}}, "gain = 2.0"),
            ({"processor_config": {"gain": 2.0}, "preprocessor_config": GEMMA3N}, "gain = 2.0"),
            ({"preprocessor_config": {**WHISPER, "do_normalize": True}}, "do_normalize = True"),
            ({"preprocessor_config": {**GEMMA3N, "gain": 2.0}}, "gain = 2.0"),
        ],
    )
    def test_no_field_is_ignored_at_any_level(self, folder, files, field):
        with pytest.raises(PresetError, match=f"does not know, and will not ignore: {field}"):
            load_preset(folder(**files))

    def test_no_field_of_our_own_file_is_ignored(self, tmp_path):
        path = save_preset(FrontEnd.load("gemma4_documented"), tmp_path)
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "gain": 2.0}))
        with pytest.raises(PresetError, match=r"will not ignore: gain = 2\.0"):
            load_preset(tmp_path)
        path.write_text(json.dumps({**content, "front_end": {**content["front_end"], "gain": 2.0}}))
        with pytest.raises(PresetError, match="unknown front end field gain"):
            load_preset(tmp_path)

    def test_whisper_has_no_number_of_tokens(self, folder):
        with pytest.raises(PresetError, match="audio_seq_length must not be there, got 7"):
            load_preset(folder(processor_config={"feature_extractor": WHISPER, "audio_seq_length": 7}))

    def test_what_a_processor_says_of_other_things_changes_nothing(self, folder):
        others = {"processor_class": "Gemma4Processor", "image_seq_length": 280, "audio_ms_per_token": 40}
        processor = {"feature_extractor": EXTRACTOR, "video_processor": {}, "audio_seq_length": 750, **others}
        found = load_preset(folder(processor_config=processor)).front_end
        assert found.replace(name="gemma4") == FrontEnd.load("gemma4")

    @pytest.mark.parametrize("field", ["module", "registered_name"])
    def test_a_class_of_somebody_else_is_not_keras_hubs(self, folder, field):
        value = {"module": "mine.converters", "registered_name": "mine>Gemma4AudioConverter"}[field]
        with pytest.raises(PresetError, match=f"{field} must be of keras_hub, got 'mine"):
            load_preset(folder(audio_converter={**KERAS_CHECKPOINT, field: value}))

    def test_a_package_of_before(self, folder):
        content = {"class_name": "WhisperAudioConverter", "config": {}}
        content["registered_name"] = "keras_nlp>WhisperAudioConverter"
        assert load_preset(folder(audio_converter=content)).family == "whisper"

    def test_two_files_that_contradict_each_other(self, folder):
        both = folder(audio_converter=keras(num_mels=80), preprocessor_config=EXTRACTOR)
        with pytest.raises(PresetError, match=r"describe different front ends \(num_mels 80 and 128\)"):
            load_preset(both)

    def test_two_files_that_differ_in_what_no_frame_shows(self, folder):
        both = folder(audio_converter=keras(max_audio_length=20), preprocessor_config=EXTRACTOR)
        with pytest.raises(PresetError, match=r"\(max_audio_length 20.0 and 30.0\): remove the one"):
            load_preset(both)

    def test_a_folder_of_nothing(self, tmp_path):
        with pytest.raises(PresetError, match=r"has none of melbeam_front_end.json, audio_converter.json"):
            load_preset(tmp_path)


class TestSaving:
    @pytest.mark.parametrize("name", FrontEnd.shipped())
    @pytest.mark.parametrize("change", [{}, {"max_audio_length": 12.5}, {"mel_floor": 1e-4}, {"num_mels": 64}])
    def test_what_is_saved_loads_equal(self, tmp_path, name, change):
        converter = AudioConverter(FrontEnd.load(name).replace(**change))
        converter.save_to_preset(tmp_path)
        loaded = load_preset(tmp_path)
        assert loaded.front_end.replace(name=converter.front_end.name) == converter.front_end
        np.testing.assert_array_equal(
            AudioConverter.from_preset(tmp_path)(np.ones(2000, "float32")), converter(np.ones(2000, "float32"))
        )

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("gemma4", {"max_audio_length": None}),
            ("gemma4", {"max_audio_length": 12.5}),
            ("gemma4", {"preemphasis": 0.97}),
            ("gemma4", {"max_audio_tokens": 100}),
            ("gemma4", {"hop_length": 700, "max_audio_length": 1}),  # keras-hub computes 22 frames, 23 are valid
            ("gemma3n", {"preemphasis_htk_flavor": False}),
            ("gemma3n", {"max_audio_length": 10}),
            ("whisper", {"mel_floor": 1e-5}),
        ],
    )
    def test_what_keras_hub_would_not_load_equal_has_a_form_of_our_own(self, tmp_path, name, change):
        front_end = FrontEnd.load(name).replace(**change)
        assert save_preset(front_end, tmp_path, name).name == "melbeam_front_end.json"
        loaded = load_preset(tmp_path)
        assert (loaded.front_end.replace(name=front_end.name), loaded.family) == (front_end, name)

    def test_keras_hub_finds_the_class_unless_a_whole_preset_is_there(self, tmp_path):
        save_preset(FrontEnd.load("gemma4"), tmp_path / "new")
        assert json.loads((tmp_path / "new/config.json").read_text()) == {
            "registered_name": "keras_hub>Gemma4Backbone"
        }
        (tmp_path / "config.json").write_text("{}")
        save_preset(FrontEnd.load("gemma4"), tmp_path)
        assert (tmp_path / "config.json").read_text() == "{}"

    def test_whether_keras_hubs_layer_returns_the_mask_is_kept(self, tmp_path):
        converter = Gemma3nAudioConverter(return_attention_mask=False)
        converter.save_to_preset(tmp_path)
        path = tmp_path / "audio_converter.json"
        content = json.loads(path.read_text())
        assert content["config"]["return_attention_mask"] is False
        assert AudioConverter.from_preset(tmp_path).get_config() == {
            **converter.get_config(),
            "front_end": converter.front_end.replace(name=tmp_path.name).to_dict(),
            "name": tmp_path.name,
        }
        assert Gemma3nAudioConverter.from_preset(tmp_path, return_attention_mask=True).return_attention_mask
        path.write_text(json.dumps({**content, "config": {**content["config"], "return_attention_mask": "no"}}))
        with pytest.raises(PresetError, match="return_attention_mask must be true or false, got 'no'"):
            load_preset(tmp_path)

    def test_what_keras_hub_cannot_express_has_a_form_of_our_own(self, tmp_path):
        Gemma4AudioConverter().save_to_preset(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["melbeam_front_end.json"]
        assert type(AudioConverter.from_preset(tmp_path)) is Gemma4AudioConverter
        with pytest.raises(PresetError, match=r"melbeam_front_end.json is there already, and would contradict"):
            save_preset(FrontEnd.load("gemma4"), tmp_path)

    def test_an_edited_file_of_our_own_is_refused(self, tmp_path):
        path = save_preset(FrontEnd.load("gemma4_documented"), tmp_path)
        path.write_text(path.read_text().replace("1e-05", "1e-04"))
        with pytest.raises(PresetError, match=r"its fingerprint .* is not that of its front end"):
            load_preset(tmp_path)

    @pytest.mark.parametrize("family", ["gemma5", ["gemma4"]])
    def test_a_family_that_there_is_not(self, tmp_path, family):
        path = save_preset(FrontEnd.load("gemma4_documented"), tmp_path)
        path.write_text(json.dumps({**json.loads(path.read_text()), "family": family}))
        with pytest.raises(PresetError, match="family must be gemma4, gemma3n, whisper or null, got"):
            load_preset(tmp_path)


class Hub(http.server.BaseHTTPRequestHandler):
    """Speaks enough of both hubs' protocols: `files` and `status` are set on the class by each test."""

    files: ClassVar = {}
    status = 200
    asked: ClassVar = []

    def answer(self, name):
        self.asked.append(name)
        if self.status == "slow":
            time.sleep(3)
        content = self.files.get(name)
        status = self.status if isinstance(self.status, int) else 200
        if status == 200 and content is None:
            status = 404
        body = content if status == 200 else b'{"error": "no"}'
        self.send_response(status)
        codes = {401: "RepoNotFound", 403: "GatedRepo", 404: "EntryNotFound"}
        if status in codes:
            self.send_header("X-Error-Code", "RepoNotFound" if status == self.status == 404 else codes[status])
        self.send_header("ETag", f'"{hash(body) & 0xFFFFFFFF:08x}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.send_header("Content-Type", "application/octet-stream" if status == 200 else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        self.answer(self.path.rsplit("/", 1)[-1])

    do_HEAD = do_GET

    def do_POST(self):  # Kaggle's
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(request.get("path", self.path.rsplit("/", 1)[-1]))

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    """One for all tests: the client of Hugging Face remembers where it went first."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The server's handler, for both clients, without their caches and credentials."""
    url = server
    Hub.files, Hub.status, Hub.asked = {}, 200, []
    monkeypatch.setenv("HF_ENDPOINT", url)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kaggle"))
    monkeypatch.setenv("KAGGLE_API_ENDPOINT", url)  # read by older clients; the newer have a table
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    with contextlib.suppress(ImportError):
        from kagglesdk import kaggle_env

        monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.TEST, url)
    monkeypatch.setattr(loading, "FETCH_SECONDS", 1.5)
    return Hub


HANDLES = ["hf://someone/model@v2", "kaggle://someone/model/keras/variation/3"]


class TestHubs:
    @pytest.mark.parametrize("handle", HANDLES)
    def test_a_keras_file(self, hub, handle):
        hub.files = {"audio_converter.json": json.dumps(KERAS_CHECKPOINT).encode()}
        loaded = load_preset(handle)
        assert loaded.front_end.fingerprint == FrontEnd.load("gemma4").fingerprint
        assert loaded.front_end.name == handle
        assert {name for name in hub.asked if name.endswith((".json", ".safetensors", ".h5"))} == {
            "audio_converter.json"
        }

    def test_a_kaggle_handle_without_a_version_is_the_newest(self, hub):
        hub.files = {
            "audio_converter.json": json.dumps(KERAS_CHECKPOINT).encode(),
            "GetModelInstance": json.dumps({"versionNumber": 3}).encode(),
            "get": json.dumps({"versionNumber": 3}).encode(),  # of older clients
        }
        assert load_preset("kaggle://someone/model/keras/variation").family == "gemma4"
        assert {"GetModelInstance", "get"} & set(hub.asked)

    def test_kaggle_does_not_have_the_file(self, hub):
        hub.files = {"config.json": b"{}"}
        with pytest.raises(PresetError, match=r"or it has no audio_converter.json, so no audio"):
            load_preset(HANDLES[1])

    def test_a_hugging_face_model_without_audio(self, hub):
        files = {
            "processor_config.json": {"feature_extractor": EXTRACTOR},
            "config.json": {"model_type": "gemma4"},
        }
        hub.files = {name: json.dumps(content).encode() for name, content in files.items()}
        with pytest.raises(PresetError, match=r"someone/model@v2/config.json has no 'audio_config'"):
            load_preset(HANDLES[0])

    def test_the_older_layout_with_its_number_of_tokens(self, hub):
        files = {"processor_config.json": {"audio_seq_length": 7}, "preprocessor_config.json": GEMMA3N}
        hub.files = {name: json.dumps(content).encode() for name, content in files.items()}
        loaded = load_preset(HANDLES[0])
        assert (loaded.family, loaded.front_end.max_audio_tokens) == ("gemma3n", 7)

    @pytest.mark.parametrize("handle", HANDLES)
    @pytest.mark.parametrize(
        ("name", "files", "family"),
        [
            ("whisper", {"preprocessor_config.json": WHISPER}, "whisper"),
            ("gemma4", {"processor_config.json": {"feature_extractor": EXTRACTOR}}, "gemma4"),
            ("gemma3n", {"processor_config.json": {}, "preprocessor_config.json": GEMMA3N}, "gemma3n"),
            ("gemma4_documented", {OWN_FILE: to_own(FrontEnd.load("gemma4_documented"), "gemma4")}, "gemma4"),
        ],
    )
    def test_every_source_holds_every_file(self, hub, folder, handle, name, files, family):
        hub.files = {file: json.dumps(content).encode() for file, content in files.items()}
        local = folder(**{file.removesuffix(".json"): content for file, content in files.items()})
        for where in (handle, local):
            loaded = load_preset(where)
            assert (loaded.front_end.replace(name=name), loaded.family) == (FrontEnd.load(name), family)

    def test_a_hugging_face_file_is_looked_for_next(self, hub):
        hub.files = {"preprocessor_config.json": json.dumps(WHISPER).encode()}
        assert type(AudioConverter.from_preset(HANDLES[0])) is WhisperAudioConverter

    @pytest.mark.parametrize("handle", HANDLES)
    @pytest.mark.parametrize(
        ("status", "message"),
        [
            (401, "it answers 401: log in"),
            (403, "it answers 403: accept the model's terms"),
            (404, "it answers 404: there is no such (repository|model)"),
            ("slow", "no answer in 1.5 seconds"),
        ],
    )
    def test_errors_say_what_to_do(self, hub, handle, status, message):
        hub.status = status
        with pytest.raises(PresetError, match=message) as error:
            load_preset(handle)
        assert handle in str(error.value)

    @pytest.mark.parametrize("handle", HANDLES)
    def test_truncated_json(self, hub, handle):
        hub.files = {"audio_converter.json": b'{"class_name": "Gemma4Au'}
        with pytest.raises(PresetError, match=r"is no whole JSON .* delete that first"):
            load_preset(handle)

    def test_a_model_without_audio(self, hub):
        hub.files = {"config.json": b"{}"}
        with pytest.raises(PresetError, match=r"has none of audio_converter.json, processor_config.json"):
            load_preset(HANDLES[0])

    @pytest.mark.parametrize("handle", ["kaggle://someone/model", "kaggle://a//b/c"])
    def test_a_malformed_handle(self, handle):
        with pytest.raises(PresetError, match="must be kaggle://owner/model/framework/variation"):
            load_preset(handle)

    @pytest.mark.parametrize("handle", ["hf://", "hf://model", "hf://a/b/c", "hf://a/b@", "hf:///b"])
    def test_a_malformed_handle_of_hugging_face(self, handle):
        with pytest.raises(PresetError, match="must be hf://owner/repository"):
            load_preset(handle)
