"""The choices of precision and of dtype; importing them loads neither TensorFlow nor NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

if TYPE_CHECKING:
    import numpy as np

Precision = Literal["float64", "float32"]
PRECISIONS: tuple[str, ...] = get_args(Precision)  # of window, FFT and spectrum
DTYPES = ("float32", "bfloat16", "float16")  # of features

# Keras' mixed policies keep variables in float32; a layer's output, as ours, has the second name.
_MIXED_POLICIES = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}


def checked_precision(precision: Any) -> Precision:
    """The precision itself.

    Raises:
        ValueError: it is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, got {precision!r}")
    return cast(Precision, precision)


def checked_dtype(dtype: Any) -> str:
    """The name of a dtype that features may have.

    Args:
        dtype: a name, a dtype of NumPy or TensorFlow, None (float32, as for Keras), or a Keras dtype policy: its
            name, the policy itself, or its configuration.

    Raises:
        ValueError: it is none of `DTYPES`.
    """
    named = dtype
    if isinstance(dtype, Mapping):
        named = dtype.get("config", {}).get("name")
    elif hasattr(dtype, "compute_dtype"):
        named = dtype.compute_dtype
    elif hasattr(dtype, "as_numpy_dtype"):
        named = dtype.name
    elif dtype is None:
        named = "float32"
    elif not isinstance(dtype, str):
        import numpy as np

        try:
            named = np.dtype(dtype).name
        except TypeError:
            named = None
    name = _MIXED_POLICIES.get(named, named) if isinstance(named, str) else None
    if name not in DTYPES:
        raise ValueError(f"dtype must be one of {DTYPES}, got {dtype!r}")
    return name


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The little-endian NumPy dtype of one of `DTYPES`."""
    import ml_dtypes  # with NumPy: not for those who only parse options
    import numpy as np

    return np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype).newbyteorder("<")
