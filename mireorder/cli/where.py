"""Options of where the work is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from mireorder.cli import choices
from mireorder.cli.signature import Option
from mireorder.errors import InputError

if TYPE_CHECKING:
    from mireorder.engine.base import Engine


@dataclass(frozen=True)
class Where:
    """Where the work is done."""

    panel: ClassVar[str] = "Output"

    engine: Annotated[
        str | None,
        Option(
            "where the work is done: {names}; by default local, with --scheduler dask", names=choices.engines, rare=True
        ),
    ] = None
    scheduler: Annotated[
        str | None, Option("address of a Dask scheduler that runs, such as tcp://10.0.0.7:8786", rare=True)
    ] = None
    workers: Annotated[
        int | None, Option("threads of local, processes that dask starts; by default one a core", rare=True, least=1)
    ] = None

    def made(self) -> Engine:
        """The engine.

        Raises:
            InputError: there is none of that name, or it takes no scheduler.
            MireorderError: distributed is not installed.
        """
        from mireorder.engine import engine_of

        if self.scheduler is None:
            return engine_of(self.engine or "local", self.workers)
        if self.engine not in (None, "dask"):
            raise InputError(f"engine {self.engine} has no scheduler", remedy="leave out --scheduler")
        from mireorder.engine.dask import Dask

        return Dask(self.scheduler, self.workers)
