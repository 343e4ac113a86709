"""TensorFlow in a worker: one thread an operation, and no GPU that was not asked for."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, os
from melbeam.pipelines.extracting.tensorflow_setup import prepare_tensorflow

prepare_tensorflow(gpu={gpu})
prepare_tensorflow(gpu={gpu})  # the next shard
import tensorflow as tf

tf.constant(1.0) + 1
prepare_tensorflow(gpu={gpu})  # after TensorFlow has begun to run
print(json.dumps([
    tf.config.threading.get_intra_op_parallelism_threads(),
    len(tf.config.get_visible_devices("GPU")),
    os.environ.get("CUDA_VISIBLE_DEVICES"),
]))
"""


@pytest.mark.parametrize(("gpu", "devices"), [(False, "-1"), (True, None)])
def test_a_gpu_is_hidden_unless_it_is_asked_for(monkeypatch, gpu, devices):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    command = [sys.executable, "-c", PROGRAM.format(gpu=gpu)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    threads, visible, environment = json.loads(ended.stdout.splitlines()[-1])
    assert (threads, environment) == (1, devices)
    assert gpu or visible == 0
