"""Training runs side by side, in worker processes of one thread each.

A run depends on its job alone, so results are the same for any number of workers (on a GPU but for the last digits, as
sums are taken in any order there). A worker is started as
``python -m mireorder.evaluate.worker NUMBER``, reads a job a line and answers with rows: unlike forked processes it
shares no state with the caller, and unlike multiprocessing's spawned ones it does not run the caller's script again.
It stays for job after job, as importing torch takes longer than many a run.
"""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mireorder.errors import MireorderError
from mireorder.files import atomic
from mireorder.networks import NTP
from mireorder.restoring.units import VERDICTS

ResultRow = dict[str, Any]
POLL = 0.2  # seconds between looks at Ctrl-C
PER_GPU = 4  # workers that share a card where all models are presets: a small one alone leaves most of it idle


@dataclass(frozen=True)
class Job:
    """One training run: an arm's rows, a model and a seed.

    Attributes:
        arm: what is compared: the name of an order, and of an objective.
        model: a preset, a model folder or a hub id.
        seed: initial weights and row order.
        match: what the arm has as much of as the others: ``steps``, or ``tokens`` where its rows cost more.
        data: folder of ``rows.npz``, ``held_out.json``, ``mireorder.json`` and ``tokenizer/``.
        budget: the fields of a ``Budget``; its seed is replaced by the run's.
        eval_every: steps between evaluations; the last step is always evaluated.
        origin: what stands in every row, so that its numbers can be traced: hashes of plan and dataset, version.
        save: folder for the trained model, None to drop it.
        lora: train an adapter instead of all weights.
        objective: what the model is trained to predict, a name in `OBJECTIVES`.
        until: the step at which the run is paused, and measured row by row; None goes to the end.
        state: where a paused run is kept, and taken up from: a file's path, without the step that follows in its name.
    """

    arm: str
    model: str
    seed: int
    match: str
    data: str
    budget: dict[str, Any]
    eval_every: int
    origin: dict[str, Any]
    save: str | None = None
    lora: bool = False
    objective: str = NTP
    until: int | None = None
    state: str | None = None

    @property
    def name(self) -> str:
        """What it is called where something goes wrong."""
        return f"{self.arm}, model {self.model}, seed {self.seed}, by {self.match}"


def run_all(
    jobs: Sequence[Job],
    workers: int | None,
    progress: Callable[[ResultRow], None] | None,
    finished: Callable[[Job, list[ResultRow]], None],
    scratch: Path,
) -> None:
    """Run jobs in worker processes, in their order.

    Args:
        jobs: what to run.
        workers: processes at a time; None takes `default_workers`.
        progress: called with every row as it is measured, from several threads.
        finished: called with a job and all of its rows once it is done, from several threads.
        scratch: folder for what the workers say.

    Raises:
        MireorderError: a run failed; the message ends with its last line.
    """
    count = max(1, min(workers or default_workers([job.model for job in jobs]), len(jobs)))
    with ThreadPoolExecutor(count) as pool:
        idle: SimpleQueue[_Worker] = SimpleQueue()
        staff = [_Worker(number, scratch / f"{number}.log") for number in range(count)]
        for worker in staff:
            idle.put(worker)

        def supervise(job: Job) -> None:
            worker = idle.get()
            try:
                finished(job, worker.run(job, progress))
            finally:
                idle.put(worker)

        waiting = {pool.submit(supervise, job) for job in jobs}
        try:
            while waiting:  # a wait without end may not hear of Ctrl-C, which reaches any thread of this process
                done, waiting = wait(waiting, POLL, FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            for worker in staff:
                worker.stop()


class _Worker:
    """A process that runs job after job; it starts with the first."""

    def __init__(self, number: int, log: Path) -> None:
        self._number, self._log = number, log
        self._process: subprocess.Popen[str] | None = None
        self._stopped = Event()

    def run(self, job: Job, progress: Callable[[ResultRow], None] | None) -> list[ResultRow]:
        """The rows of a job. Raises MireorderError if it fails."""
        if self._stopped.is_set():
            raise MireorderError(f"{job.name}: stopped, as another run failed")
        process = self._process = self._process or self._start()
        if self._stopped.is_set():  # while it was started
            process.kill()
        assert process.stdin and process.stdout  # noqa: S101 (both are pipes)
        rows: list[ResultRow] = []
        try:
            print(json.dumps(asdict(job)), file=process.stdin, flush=True)
            for line in process.stdout:
                row = json.loads(line)
                if row is None:
                    return rows
                rows.append(row)
                if progress is not None:
                    progress(row)
        except BrokenPipeError:  # it died before it could read the job
            pass
        code, said = process.wait(), self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        problem = said[-1] if said else f"its worker ended with status {code}"
        if code < 0:
            signalled = signal.Signals(-code).name
            problem = f"its worker was ended by {signalled}, as by a system short of memory; pass fewer --workers"
        raise MireorderError(f"{job.name}: the run failed: {problem}")

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self._stopped.set()
        if self._process:
            with suppress(BrokenPipeError), self._process as process:  # one that died may not have read all
                process.kill()

    def _start(self) -> "subprocess.Popen[str]":
        # The job knows what must not be: without BLAS and tokenizer threads, runs don't fight over the cores.
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        command = [sys.executable, "-m", "mireorder.evaluate.worker", str(self._number)]
        with self._log.open("w", encoding="utf-8") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )


def default_workers(models: Collection[str]) -> int:
    """One a core that this process may use; on GPUs four per card, or one if a model is not a preset.

    Args:
        models: presets, model folders or hub ids.
    """
    import torch

    from mireorder.training.presets import PRESETS

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    per_card = PER_GPU if set(models) <= set(PRESETS) else 1
    return min(cores, per_card * torch.cuda.device_count()) if torch.cuda.is_available() else cores


def run(job: Job, worker: int = 0) -> Iterator[ResultRow]:
    """Train one model and measure it on the held-out rows as it learns.

    Args:
        job: the run.
        worker: number of this process; with several GPUs it decides which one is used.

    Yields:
        A row per evaluation: the job's arm, model, seed, match, origin and objective, and what a step of it costs
        (`mireorder.training.loop.Learner.costs`); step and steps; ``tokens`` seen by then and
        ``target_tokens`` among them that were predicted; mean loss since the last row; exact_match, answers per
        verdict, slot_accuracy and step_accuracy. Of a run that is paused, of each held-out row too: whether it is
        right, and the ``bits`` of its answer. Of an arm that learns every order, at the end one more for each order
        that it is made to answer in, called as in ``shuffle-marked:best``.
    """
    from mireorder.evaluate.choosing import decoded
    from mireorder.ordering.every_order import learns_every_order
    from mireorder.ordering.plan import Plan
    from mireorder.restoring.restorer import FILE

    data = Path(job.data)
    plan = Plan.load(data)  # before torch comes in: a job without data fails at once
    import torch

    from mireorder.tokenizing.tokens import load_tokenizer
    from mireorder.training.budget import Budget
    from mireorder.training.loop import shuffled_batches, to_rows
    from mireorder.training.train import save_model

    device = f"cuda:{worker % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    budget, tokenizer = Budget(**job.budget | {"seed": job.seed}), load_tokenizer(data / "tokenizer")
    held_out = json.loads((data / "held_out.json").read_text(encoding="utf-8"))
    model = _model(job, tokenizer, held_out["longest"], budget.dropout).to(device)
    torch.manual_seed(job.seed)  # of dropout
    rows = to_rows(*_read_encoded(data / "rows.npz"), device)
    learner = _learner(job, model, rows, budget)
    seen, last = np.zeros(2, np.int64), job.until or budget.steps
    named: ResultRow = {"arm": job.arm, "model": job.model, "seed": job.seed, "match": job.match} | job.origin
    named |= {"objective": job.objective} | learner.costs(np.arange(min(budget.batch_size, len(rows.lengths))))
    losses: list[Any] = []
    batches = shuffled_batches(len(rows.lengths), budget.batch_size, job.seed, held_out["epochs"])
    for step, batch in zip(range(1, last + 1), batches, strict=False):
        seen[:] += rows.lengths[batch].sum(), (rows.lengths[batch] - rows.prompts[batch]).sum()
        if step > learner.done:
            losses.append(learner.step(batch))
        elif step < last:
            continue
        if step == last or step % job.eval_every == 0:
            progress = {"step": step, "steps": budget.steps, "tokens": int(seen[0]), "target_tokens": int(seen[1])}
            so_far = named | progress | {"loss": float(torch.stack(losses).mean()) if losses else None}
            yield so_far | _measure(model, tokenizer, plan, held_out, by_row=step == job.until)
            if step == budget.steps and learns_every_order(plan):
                for name, emitted in decoded(model, tokenizer, plan, held_out).items():
                    yield so_far | _measure(model, tokenizer, plan, held_out, emitted) | {"arm": f"{job.arm}:{name}"}
            losses.clear()
    _put_away(learner, job)
    learner.release()
    if job.save:
        save_model(model, tokenizer, data / FILE, Path(job.save), held_out["longest_completion"])


def _model(job: Job, tokenizer: Any, longest: int, dropout: float) -> Any:
    from mireorder.training.presets import PRESETS, adapter, build, frozen_halves, pretrained, refuse_adapter
    from mireorder.training.train import SLACK

    if job.model in PRESETS:
        return build(job.model, tokenizer, longest + SLACK, job.seed, dropout=dropout)
    model = pretrained(job.model, half=job.lora and frozen_halves())
    refuse_adapter(model, job.model)
    return adapter(model, job.seed) if job.lora else model


def _learner(job: Job, model: Any, rows: Any, budget: Any) -> Any:
    from mireorder.training.loop import Learner
    from mireorder.training.objectives import objective_of
    from mireorder.training.presets import PRESETS

    objective = None if job.objective == NTP else objective_of(job.objective)
    learner = Learner(model, rows, budget, budget.peak(scratch=job.model in PRESETS, lora=job.lora), objective)
    _take_up(learner, job)
    return learner


def _take_up(learner: Any, job: Job) -> None:
    """Resume a run where it was last paused before: what was kept at its own end was measured by a run that died."""
    if job.state:
        from safetensors.torch import load_file

        place = Path(job.state)
        kept = {int(path.stem.rpartition("@")[2]): path for path in place.parent.glob(f"{place.name}@*.safetensors")}
        before = [step for step in kept if job.until is None or step < job.until]
        if before:
            learner.resume(load_file(kept[max(before)]))


def _put_away(learner: Any, job: Job) -> None:
    """Keep a run that is paused, whole or not at all."""
    if job.state:
        from safetensors.torch import save_file

        Path(job.state).parent.mkdir(parents=True, exist_ok=True)
        with atomic(Path(f"{job.state}@{job.until}.safetensors")) as part:
            save_file(learner.state(), part)


def _measure(
    model: Any,
    tokenizer: Any,
    plan: Any,
    held_out: dict[str, Any],
    emitted: list[list[int]] | None = None,
    *,
    by_row: bool = False,
) -> ResultRow:
    """How well a model answers; or of what it emitted, where it was made to take an order."""
    from mireorder.evaluate.metrics import score, slot_accuracy, units_by_slot
    from mireorder.tokenizing.tokens import restore_all_ids
    from mireorder.training.loop import answer_bits, greedy_answers
    from mireorder.training.train import SLACK

    limit, free = held_out["longest_completion"] + SLACK, emitted is None
    emitted = emitted or greedy_answers(model, held_out["prompts"], tokenizer.eos_token_id, limit)
    _, restored = restore_all_ids(emitted, tokenizer, plan, prompts=held_out["prompt_texts"])
    measured = score([r.text for r in restored], held_out["targets"], [r.verdict for r in restored])
    answers = units_by_slot(plan, [r.text if r.verdict == "complete" else None for r in restored])
    steps = [[dict(enumerate(ids)) for ids in rows] for rows in (emitted, held_out["completions"])]
    row = {
        "rows": measured.rows,
        "exact_match": measured.exact_match,
        **{verdict.replace(" ", "_"): measured.verdicts.get(verdict, 0) for verdict in VERDICTS},
        "slot_accuracy": list(slot_accuracy(answers, units_by_slot(plan, held_out["targets"]))),
        "step_accuracy": list(slot_accuracy(*steps)) if free else [],  # the rows are in another order
    }
    if not by_row:
        return row
    bits = answer_bits(model, held_out["prompts"], held_out["completions"])
    return row | {"right": list(measured.right), "bits": [round(float(of), 6) for of in bits]}


def write_encoded(
    file: Path, input_ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]
) -> tuple[NDArray[np.int64], ...]:
    """Write encoded rows for a worker.

    Args:
        file: an ``.npz`` file.
        input_ids: of every row.
        labels: of every row.

    Returns:
        What was written: lengths (rows,), ids and labels (tokens,), int64.
    """
    lengths = np.array([len(ids) for ids in input_ids], np.int64)
    ids, targets = (np.concatenate([np.asarray(ids, np.int64) for ids in rows]) for rows in (input_ids, labels))
    np.savez(file, lengths=lengths, input_ids=ids, labels=targets)
    return lengths, ids, targets


def _read_encoded(file: Path) -> tuple[list[list[int]], list[list[int]]]:
    with np.load(file) as arrays:
        cuts = np.cumsum(arrays["lengths"])[:-1]
        input_ids, labels = (
            [part.tolist() for part in np.split(arrays[name], cuts)] for name in ("input_ids", "labels")
        )
    return input_ids, labels


def _receive(jobs: "SimpleQueue[str]") -> None:
    """Take jobs as they come, and end this process when its parent does: nobody waits for what it is at."""
    for line in sys.stdin:
        jobs.put(line)
    os._exit(0)


def main() -> None:
    """Run the jobs on standard input, one a line; a JSON row a line goes to standard output, and a null ends a job."""
    for name in "SIGINT", "SIGTERM", "SIGHUP":  # which reach all processes of a job; the parent then ends its workers
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not look like a row
    gc.disable()  # importing torch makes a million objects, none of them garbage: a third of the time went into looking
    jobs: SimpleQueue[str] = SimpleQueue()
    Thread(target=_receive, args=(jobs,), daemon=True).start()
    while True:
        for row in run(Job(**json.loads(jobs.get())), int(sys.argv[1])):
            print(json.dumps(row), file=answers, flush=True)
            if not gc.isenabled():
                gc.freeze()  # and they are not looked at again
                gc.enable()
        print("null", file=answers, flush=True)


if __name__ == "__main__":
    main()
