"""Freed memory, kept by the C library for the next step of a training."""

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names for mallopt, as malloc.h numbers them
_KEPT, _LARGEST = 256 << 20, 32 << 20  # bytes; glibc takes no threshold above 32 MiB on some versions


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 256 MiB that it freed, in blocks of up to 32 MiB, for what it allocates next.

    By default glibc gives an activation's pages back to the system as soon as it is freed, and for the next one the
    system has to find and clear new ones. Of a small model's step that is a quarter to a third. The numbers stay the
    same, bit for bit.

    Returns:
        Whether the C library has such a setting; others than glibc have none, and nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function; on Windows no library without a name
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT)) and bool(mallopt(_MMAP_THRESHOLD, _LARGEST))
