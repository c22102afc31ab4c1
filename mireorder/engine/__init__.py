"""Where stages run: the threads of this machine (`local`), or the workers of a Dask cluster (`dask`).

An engine maps work over items, and reduces what comes of them. What is done there is a function of shards and nothing
else, so the plan and the dataset are the same, bit for bit, wherever they are made.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mireorder.engine.base import Engine
from mireorder.errors import InputError
from mireorder.serialise import one_of

ENGINES = {"local": "mireorder.engine.local:Local", "dask": "mireorder.engine.dask:Dask"}
"""Name -> its class. What it needs is imported when it is used."""


def engine_of(engine: Engine | str, workers: int | None = None) -> Engine:
    """The engine of a name, or the engine itself.

    Args:
        engine: one, or a name in `ENGINES`.
        workers: threads of ``local``, processes of ``dask``; None takes one a core.

    Raises:
        InputError: there is none of that name, or ``workers`` is given beside an engine that has its own.
    """
    if isinstance(engine, str):
        module, _, name = one_of(engine, ENGINES, "engine").partition(":")
        made: Any = getattr(import_module(module), name)
        return made(workers=workers)
    if workers is not None:
        raise InputError("an engine has workers of its own", remedy="leave out --workers")
    return engine
