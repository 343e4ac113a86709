"""How every process that converts records sets TensorFlow up before it is first used."""

from __future__ import annotations

import logging
import os
import sys

_LOG = logging.getLogger("melbeam")
_NO_DEVICE = "-1"


def prepare_tensorflow(*, gpu: bool) -> None:
    """Imports TensorFlow for a worker: one thread for each operation, a GPU only if asked for, and no messages.

    Shards run side by side on harness threads, so TensorFlow's own threads would only fight with them; so would
    two processes for one GPU. Where TensorFlow runs already, it keeps the threads and the devices that it has.

    Args:
        gpu: whether the job may use a GPU.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # it is read at the import
        if not gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = _NO_DEVICE  # CUDA is then not even looked for
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        if not gpu:
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        _LOG.debug("TensorFlow runs already; its threads and devices are left as they are")
