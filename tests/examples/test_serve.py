"""examples/serve.py: WAV bytes in, the features that a job stores out. `make test-examples` runs this."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from helpers import encode, write
from melbeam.pipelines import extract
from melbeam.transforms import read_features
from melbeam.transforms.records.tf_example import to_example

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("front_end", ["gemma4", "whisper"])
def test_it_serves_what_was_stored(tmp_path, front_end):
    random = np.random.default_rng(2)
    files = [encode((3000 * random.standard_normal(n)).astype(np.int16)) for n in (16000, 7000, 24001)]
    write(tmp_path / "audio", [to_example({"audio": content}) for content in files])
    command = [f"--input={tmp_path}/audio", f"--output={tmp_path}/f", f"--front_end={front_end}"]
    assert extract.main(command) == 0
    command = [EXAMPLES / "serve.py", f"--front_end={front_end}", f"--output={tmp_path}/served/1"]
    subprocess.run([sys.executable, *command], check=True, timeout=300)
    serve = tf.saved_model.load(f"{tmp_path}/served/1").signatures["serving_default"]
    served = serve(wav=tf.constant(files))
    (stored,) = read_features(tmp_path / "f", front_end=front_end, batch_size=3)
    np.testing.assert_array_equal(served["num_frames"], stored["num_frames"])
    # The exported graph is the plain one, which rounds otherwise than the compiled one by 1e-6 at most.
    np.testing.assert_allclose(served["input_features"], stored["input_features"], rtol=0, atol=2e-6)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="a WAV must have the rate of the front end, 16000 Hz"
    ):
        serve(wav=tf.constant([encode(np.zeros(8000, np.int16), 8000)]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a WAV must have one channel"):
        serve(wav=tf.constant([encode(np.zeros((8000, 2), np.int16))]))
