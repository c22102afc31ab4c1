"""Kernels: loops compiled on first use, and kept on disk between runs where a folder can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(loop: Callable[..., Any]) -> Any:
    """Compile a loop over arrays for all threads at once (it releases the GIL); it never checks a division by 0.

    Machine code goes beside the source, or to the user's cache folder; where neither can be written, as in a container
    whose disk is read-only, each process compiles it anew.
    """
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(loop)
    except RuntimeError:  # numba finds no folder to write to
        return njit(nogil=True, error_model="numpy")(loop)
