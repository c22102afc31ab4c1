"""Kernels: loops compiled when they are first called, and kept on disk between runs where a folder can be written."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from threading import RLock
from types import FunctionType
from typing import Any

_COMPILING = RLock()


class Kernel:
    """A loop over arrays, compiled by numba for all threads at once (it releases the GIL).

    It never checks a division by 0. Numba is imported with the first call of any kernel: it takes longer than most of
    what needs no kernel. A kernel may call others.

    Machine code goes beside the source, or to the user's cache folder; where neither can be written, as in a container
    whose disk is read-only, each process compiles it anew.

    Attributes:
        compiled: what numba made of the loop, None before the first call.
    """

    def __init__(self, loop: Callable[..., Any]) -> None:
        update_wrapper(self, loop)
        self.compiled: Any = None

    def __call__(self, *arguments: Any) -> Any:
        """What the loop returns."""
        return (self.compiled or self._compile())(*arguments)

    def _compile(self) -> Any:
        from numba import njit

        options = {"nogil": True, "error_model": "numpy"}
        with _COMPILING:  # a second thread would do the same work again
            if self.compiled is None:
                loop = _with_compiled(self.__wrapped__)  # type: ignore[attr-defined]
                try:
                    self.compiled = njit(cache=True, **options)(loop)
                except RuntimeError:  # numba finds no folder to write to
                    self.compiled = njit(**options)(loop)
        return self.compiled


def _with_compiled(loop: Any) -> Any:
    """The loop with what numba made of the kernels that it calls in their place."""
    known = loop.__globals__
    called = {name: known[name]._compile() for name in loop.__code__.co_names if isinstance(known.get(name), Kernel)}
    if not called:
        return loop
    return update_wrapper(FunctionType(loop.__code__, known | called, loop.__name__, loop.__defaults__), loop)


def kernel(loop: Callable[..., Any]) -> Any:
    """Make a `Kernel` of a loop."""
    return Kernel(loop)
