"""Arrays of NumPy, TensorFlow and PyTorch, told apart without importing either of the last two."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_of(value: Any, package: str) -> bool:
    """Whether a value is an array of a package: "tensorflow", "torch", "numpy"."""
    return type(value).__module__.partition(".")[0] == package


def is_symbolic(value: Any) -> bool:
    """Whether a value is a tensor of a TensorFlow graph that is being built, which has no values yet."""
    if not is_of(value, "tensorflow"):
        return False
    import tensorflow as tf

    return tf.is_symbolic_tensor(value)


def to_torch(values: Any) -> Any:
    """A PyTorch tensor of any array, bfloat16 included, which PyTorch does not take from NumPy.

    Raises:
        ImportError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("transformers' models take PyTorch's tensors: pip install 'melbeam[torch]'") from error
    if isinstance(values, torch.Tensor):
        return values
    array = np.asarray(values)
    if not array.flags.writeable:
        array = array.copy()  # PyTorch warns of what it cannot write to
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_int32(values: Any) -> Any:
    """The values as int32, in the package that they are of."""
    if is_of(values, "tensorflow"):
        import tensorflow as tf

        return tf.cast(values, tf.int32)
    return values.int() if is_of(values, "torch") else values.astype(np.int32)
