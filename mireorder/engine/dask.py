"""Engine `dask`: the workers of a Dask cluster. What they find is merged where they are, as a tree.

Work goes to the workers, and what comes of it between them, in Dask's own form, which is for those who trust each
other: who can reach a scheduler can run anything on its workers.
"""

from __future__ import annotations

import os
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from importlib import import_module
from typing import Any, Self

from mireorder.engine.base import Led, Merge, R, Results, T, Work
from mireorder.errors import InputError, InputWarning, MireorderError
from mireorder.threads import WAITING, Progress

MERGED = 4  # results in one at each step of the tree: three more than one are held by a worker at a time
TOLD = 1.0  # seconds between what a worker tells of the rows it has read
WAIT = 60  # seconds for the first worker


class Dask:
    """Workers of a Dask cluster: of one that runs, or of one on this machine that is started, and ends with the block.

    Every worker must find the data, and the folder that is written to, under the same path. Started workers are
    processes, which read the script that starts them: it must keep what it runs behind
    ``if __name__ == "__main__":``.

    Args:
        scheduler: address of a scheduler that runs, such as ``tcp://10.0.0.7:8786``; None starts one on loopback.
        workers: processes to start, of one thread each; None takes one a core.

    Raises:
        InputError: workers are asked of a scheduler that has its own.
        MireorderError: distributed is not installed; once entered: no scheduler answers, or it has no workers.

    Example:
        >>> from mireorder.engine.dask import Dask
        >>> Dask("tcp://10.0.0.7:8786").scheduler
        'tcp://10.0.0.7:8786'
    """

    threads: int | None = None

    def __init__(self, scheduler: str | None = None, workers: int | None = None) -> None:
        if scheduler is not None and workers is not None:
            raise InputError(f"{scheduler} has workers of its own", remedy="leave out --workers")
        try:
            import_module("distributed")  # asked for here, so that nothing is begun without it
        except ImportError as error:
            raise MireorderError(
                f"engine dask needs distributed, which this Python lacks ({error}); pip install 'mireorder[dask]'"
            ) from None
        self.scheduler, self.workers = scheduler, workers
        self.shares = 0
        self._client: Any = None
        self._stop: Any = None  # where this is the engine of a worker: whether who asked has stopped it
        self._entered = 0
        self._open = ExitStack()

    def map(self, work: Work[T, R], items: Sequence[T], progress: Progress | None = None) -> Results[R]:
        """See `Engine`. After an error it waits for the work that is being done, so that none is done behind it."""
        waiting: deque[Any] = deque()
        with self._prepared(work, progress) as submit:
            try:
                for item in items:
                    waiting.append(submit(item))
                    if len(waiting) >= WAITING * self.shares:
                        yield self._result(waiting.popleft())
                while waiting:
                    yield self._result(waiting.popleft())
            except BaseException:
                self._wait(waiting)
                raise
            finally:
                self._client.cancel(list(waiting))

    def reduce(self, work: Work[T, R], items: Sequence[T], merge: Merge[R], progress: Progress | None = None) -> R:
        """See `Engine`. Results stay with the workers but for the last one."""
        with self._prepared(work, progress) as submit:
            level = [submit(item) for item in items]
            while len(level) > 1:
                groups = (level[start : start + MERGED] for start in range(0, len(level), MERGED))
                level = [self._client.submit(_merged, merge, *group, pure=False) for group in groups]
            try:
                return self._result(level[0])
            except BaseException:
                self._client.cancel(level)
                raise

    def lead(self, work: Led[R], progress: Progress | None = None) -> R:
        """See `Engine`. It is led by a worker, whose thread others may use while it waits for them."""
        from distributed import Event

        name = f"mireorder-{uuid.uuid4()}"
        with self._heard(progress) as topic:
            led = self._client.submit(_led, work, topic, name, pure=False)
            try:
                return self._result(led)
            except BaseException:
                if not led.done():  # an interrupt: a thread of a worker would not hear of it
                    Event(name, client=self._client).set()
                raise

    @classmethod
    def _of_worker(cls, client: Any, name: str) -> Self:
        """The engine as a worker has it, by its own client of the cluster, until the event of that name."""
        from distributed import Event

        engine = cls("")
        engine._client, engine._entered, engine.shares = client, 1, sum(client.nthreads().values())
        engine._stop = Event(name, client=client)
        return engine

    @contextmanager
    def _prepared(self, work: Work[T, R], progress: Progress | None) -> Iterator[Callable[[T], Any]]:
        """What has a worker do the work with an item. The work is sent to each worker once, not with every item."""
        with self._heard(progress) as topic:
            sent = self._client.submit(_itself, partial(_done, work, topic), pure=False)
            yield lambda item: self._client.submit(_call, sent, item, pure=False)

    @contextmanager
    def _heard(self, progress: Progress | None) -> Iterator[str | None]:
        """The topic by which workers tell of rows that they have read; None where nobody listens."""
        if progress is None:
            yield None
            return
        topic = f"mireorder-{uuid.uuid4()}"
        self._client.subscribe_topic(topic, lambda event: progress(event[1]))
        try:
            yield topic
        finally:
            self._client.unsubscribe_topic(topic)

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker, wait

        while self._stop and not future.done():
            with suppress(TimeoutError), self._client.as_current():
                wait([future], timeout=TOLD)
            if self._stop.is_set():
                raise MireorderError("it was stopped by who asked for it")
        try:
            return future.result()
        except KilledWorker as error:
            raise MireorderError(
                f"a worker died each of the {error.allowed_failures + 1} times that it was given the same work, most "
                "likely for want of memory; give workers more memory, or fewer threads, or pass a smaller --memory"
            ) from error

    def _wait(self, futures: Sequence[Any]) -> None:
        from distributed import wait

        with self._client.as_current():
            wait(list(futures))

    def __enter__(self) -> Self:
        if not self._entered:
            with ExitStack() as opened:
                self._client = opened.enter_context(self._connected(opened))
                self.shares = sum(self._client.nthreads().values())
                self._open = opened.pop_all()
        self._entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if not self._entered:
            self._open.close()

    def _connected(self, opened: ExitStack) -> Any:
        from distributed import Client, LocalCluster

        address: Any = self.scheduler
        if address is None:
            with _giving_memory_back_late():
                cluster = LocalCluster(
                    n_workers=self.workers or os.cpu_count(),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs="CRITICAL",
                )
            address = opened.enter_context(cluster)
        try:
            client = Client(address, set_as_default=False)
            client.wait_for_workers(1, WAIT)
        except (OSError, ValueError) as error:
            raise MireorderError(
                f"no Dask scheduler with workers answers at {self.scheduler} ({error}); start one with 'dask "
                "scheduler' and 'dask worker', or leave out --scheduler to have one started here"
            ) from error
        return client


@contextmanager
def _giving_memory_back_late() -> Iterator[None]:
    """Have started workers not return memory at every turn, as Dask would: that takes as long as all their work."""
    import dask

    key = "distributed.nanny.pre-spawn-environ"
    environment = {name: value for name, value in dask.config.get(key).items() if not name.startswith("MALLOC_TRIM")}
    with dask.config.set({key: environment}):
        yield


def _itself(thing: T) -> T:
    return thing


def _call(done: Callable[[T], R], item: T) -> R:
    return done(item)


def _done(work: Work[T, R], topic: str | None, item: T) -> R:
    """The work, at a worker. Its thread is one of those that take items, so it has no others."""
    warnings.showwarning = _forwarded
    if topic is None:
        return work(item, 1, None)
    told = _Told(topic)
    found = work(item, 1, told)
    told.send()
    return found


def _led(work: Led[R], topic: str | None, name: str) -> R:
    """The work, led by a worker, until the event of that name."""
    from distributed import worker_client

    warnings.showwarning = _forwarded
    told = _Told(topic) if topic else None
    with worker_client() as client:
        client.unsubscribe_topic("warn")  # notes of other workers are heard by who asked: here they would be sent again
        found = work(Dask._of_worker(client, name), told)
    if told:
        told.send()
    return found


class _Told:
    """Rows that a worker has read, told to who waits for them once a second."""

    def __init__(self, topic: str) -> None:
        from distributed import get_worker

        self.topic, self.rows, self.last = topic, 0, time.monotonic()
        self.worker = get_worker()  # rows that others have read are told by another thread, which knows none

    def __call__(self, rows: int) -> None:
        self.rows += rows
        if time.monotonic() - self.last > TOLD:
            self.send()

    def send(self) -> None:
        self.worker.log_event(self.topic, self.rows)
        self.rows, self.last = 0, time.monotonic()


def _forwarded(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Send a note on how an input was taken to who waits for the work."""
    del where, more
    if issubclass(category, InputWarning):
        from distributed import warn

        warn(message, category)


def _merged(merge: Merge[R], *found: R) -> R:
    return merge(found, 1) if len(found) > 1 else found[0]
