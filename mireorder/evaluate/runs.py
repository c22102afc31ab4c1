"""Training runs side by side, each in a Python process of its own with one thread.

A run depends on its job alone, so results are the same for any number of workers. The processes are started
as ``python -m mireorder.evaluate.runs JOB``: unlike forked ones they share no state with the caller, and
unlike multiprocessing's spawned ones they do not run the caller's script again.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mireorder.errors import MireorderError

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One training run: a policy's rows, a model and a seed.

    Attributes:
        policy: what the run is called.
        seed: initial weights and row order.
        model: a preset, a model folder or a hub id.
        data: folder of ``rows.npz``, ``held_out.json``, ``mireorder.json`` and ``tokenizer/``.
        budget: the fields of a ``Budget``; its seed is replaced by the run's.
        eval_every: steps between evaluations; the last step is always evaluated.
        save: folder for the trained model, None to drop it.
    """

    policy: str
    seed: int
    model: str
    data: str
    budget: dict[str, Any]
    eval_every: int
    save: str | None = None


def run_all(
    jobs: Sequence[Job], folder: Path, workers: int | None, progress: Callable[[Row], None] | None
) -> list[Row]:
    """Run jobs in worker processes.

    Args:
        jobs: what to run.
        folder: for the jobs' logs.
        workers: processes at a time; by default one per core.
        progress: called with every row as it is measured, from several threads.

    Returns:
        The rows of all jobs, in the order of the jobs.

    Raises:
        MireorderError: a run failed; the message ends with its last line.
    """
    running: set[subprocess.Popen[str]] = set()
    with ThreadPoolExecutor(workers or _cores()) as pool:
        futures = [pool.submit(_supervise, job, folder, progress, running) for job in jobs]
        try:
            return [row for future in futures for row in future.result()]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.kill()
            raise


def _supervise(
    job: Job, folder: Path, progress: Callable[[Row], None] | None, running: set[subprocess.Popen[str]]
) -> list[Row]:
    name = f"{job.policy}-{job.seed}"
    job_file, log_file = folder / f"{name}.json", folder / f"{name}.log"
    job_file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    command = [sys.executable, "-m", "mireorder.evaluate.runs", str(job_file)]
    rows = []
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
            env=_environment(),
        )
        running.add(process)
        try:
            for line in process.stdout or ():
                rows.append(json.loads(line))
                if progress is not None:
                    progress(rows[-1])
            code = process.wait()
        finally:
            running.discard(process)
    if code:
        said = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise MireorderError(f"policy {job.policy}, seed {job.seed}: the run failed: {said[-1] if said else code}")
    return rows


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what this process may use, on systems that tell
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _environment() -> dict[str, str]:
    # One thread each: small models gain nothing from more, and runs side by side would fight over the cores.
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }


def run(job: Job) -> Iterator[Row]:
    """Train one model and measure it on the held-out rows as it learns.

    Args:
        job: the run.

    Yields:
        A row per evaluation: policy, seed, step, steps, exact_match, loss (mean since the last row),
        verdicts, slot_accuracy.
    """
    from mireorder.ordering.plan import Plan
    from mireorder.undo.restorer import FILE

    data = Path(job.data)
    plan = Plan.load(data)  # before torch comes in: a job without data fails at once
    import torch

    from mireorder.sft.budget import Budget
    from mireorder.sft.loop import shuffled, to_rows, train_steps
    from mireorder.sft.presets import PRESETS, build, pretrained
    from mireorder.sft.tokens import load_tokenizer
    from mireorder.sft.train import SLACK, save

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    budget, tokenizer = Budget(**job.budget | {"seed": job.seed}), load_tokenizer(data / "tokenizer")
    input_ids, labels = _read_rows(data / "rows.npz")
    held_out = json.loads((data / "held_out.json").read_text(encoding="utf-8"))
    longest_completion = held_out["longest_completion"]
    preset = job.model in PRESETS
    model = build(job.model, tokenizer, held_out["longest"] + SLACK, job.seed) if preset else pretrained(job.model)
    model.to(device)
    rows = to_rows(input_ids, labels, device)
    batches = shuffled(len(input_ids), budget.batch_size, job.seed)
    losses: list[Any] = []
    steps = train_steps(model, rows, batches, budget, budget.peak(scratch=preset))
    for step, loss in enumerate(steps, start=1):
        losses.append(loss)
        if step % job.eval_every == 0 or step == budget.steps:
            measured = _measure(model, tokenizer, plan, held_out, longest_completion + SLACK)
            mean = float(torch.stack(losses).mean())
            yield {
                "policy": job.policy,
                "seed": job.seed,
                "step": step,
                "steps": budget.steps,
                "loss": mean,
                **measured,
            }
            losses.clear()
    if job.save:
        save(model, tokenizer, data / FILE, Path(job.save), longest_completion)


def _measure(model: Any, tokenizer: Any, plan: Any, held_out: dict[str, Any], limit: int) -> Row:
    from mireorder.evaluate.metrics import score
    from mireorder.sft.loop import greedy
    from mireorder.sft.tokens import restore_all_ids

    emitted = greedy(model, held_out["prompts"], tokenizer.eos_token_id, limit)
    _, restored = restore_all_ids(emitted, tokenizer, plan)
    measured = score([r.text for r in restored], held_out["targets"], [r.verdict for r in restored])
    return {
        "exact_match": measured.exact_match,
        "verdicts": measured.verdicts,
        "slot_accuracy": list(measured.slot_accuracy),
    }


def write_rows(file: Path, input_ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> None:
    """Write encoded rows for a worker.

    Args:
        file: an ``.npz`` file.
        input_ids: of every row.
        labels: of every row.
    """
    lengths = np.array([len(ids) for ids in input_ids], np.int64)
    flat = [np.concatenate([np.asarray(ids, np.int64) for ids in rows]) for rows in (input_ids, labels)]
    np.savez(file, lengths=lengths, input_ids=flat[0], labels=flat[1])


def _read_rows(file: Path) -> tuple[list[list[int]], list[list[int]]]:
    with np.load(file) as arrays:
        cuts = np.cumsum(arrays["lengths"])[:-1]
        input_ids, labels = (
            [part.tolist() for part in np.split(arrays[name], cuts)] for name in ("input_ids", "labels")
        )
    return input_ids, labels


def main() -> None:
    """Run the job whose file is named on the command line; one JSON row per line goes to standard output."""
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not look like a row
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    for row in run(job):
        print(json.dumps(row), file=answers, flush=True)


if __name__ == "__main__":
    main()
