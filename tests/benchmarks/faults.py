"""What goes wrong, injected: ``python tests/benchmarks/faults.py [--only NAME] [--kills 200]``.

Every command that writes a folder is killed, interrupted and starved, and its inputs are damaged; then it is run again.
Each run is a fork of this process, which has imported all there is to import: so faults hit the work, not the imports.
Prints what came of it and writes FAULTS.md. For Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pyarrow as pa
import pyarrow.parquet as pq
from injected import (
    Found,
    flipped,
    group_of,
    has_ended,
    hashes,
    little_memory,
    mounted,
    no_threads,
    other_rows,
    page,
    truncated,
    watched,
)

from mireorder import cli, stages  # noqa: F401 (imported before the forks)
from mireorder.dataset import folder as dataset_folder
from mireorder.fitting import parts

HERE = Path(__file__).parent
SLOW = ("train", "weigh", "compare", "search")  # whose libraries have threads that do not live through a fork
DIGITS = "--split = --cutter digits"
SMALL = "--steps 6 --batch-size 8 --seeds 1 --workers 1"


@dataclass(frozen=True)
class Case:
    """A command, as it is typed but for ``--out``, and how often it is killed."""

    name: str
    line: str
    kills: int


CASES = [
    Case("apply", "apply {data} --plan {made}/plan", 66),
    Case("apply, Parquet", "apply {data} --plan {made}/plan --as parquet", 14),
    Case("fit", f"fit {{data}} {DIGITS} --resamples 5", 32),
    Case("fit-by", "fit {tasks} --source question --target answer --cutter digits --by task --resamples 5", 12),
    Case("count", f"count {{data}} {DIGITS}", 42),
    Case("merge", "merge {made}/counts {made}/more", 26),
    Case("export", "export {made}/rows --to trl", 10),
    Case("train", "train {made}/rows --model tiny --steps 30 --batch-size 8 --resume", 4),
    Case("weigh", "weigh {made}/tokens --reference {made}/model", 4),
    Case("compare", f"compare {{first}} {DIGITS} --policies plain,reverse {SMALL}", 4),
    Case("search", f"search {{first}} {DIGITS} --criterion joint --budget 1 {SMALL}", 2),
]


class Bench:
    """A folder with data, what every command makes of it undisturbed, and what was found."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.draw = root, random.Random(seed)
        self.found: dict[str, Found] = {}
        self.scratch = root / "tmp"
        self.scratch.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(self.scratch)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(root / "torch")  # which is torch's, and stays
        sums = [(a, b) for a in range(100) for b in range(100)]
        self.draw.shuffle(sums)
        for number in range(5):
            lines = "".join(f"{a}*{b}={a * b}\n" for a, b in sums[number * 1600 : (number + 1) * 1600])
            (root / f"{number}.txt").write_text(lines)
        (root / "first.txt").write_text("".join(f"{a}+{b}={a + b}\n" for a, b in sums[:60]))
        tasks = [{"task": op, "question": f"{a}{op}{b}", "answer": f"{a * b}"} for a, b in sums[:800] for op in "*x"]
        (root / "tasks.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in tasks))
        made, data = root / "made", self.line("{data}")
        self.must(f"fit {data} {DIGITS} --policy reverse --out {made}/plan")
        self.must(f"count {data} {DIGITS} --out {made}/counts")
        self.must(f"count {root}/0.txt --like {made}/counts --out {made}/more")
        self.must(f"fit {root}/first.txt {DIGITS} --out {made}/first")
        self.must(f"apply {root}/first.txt --plan {made}/first --out {made}/rows")
        self.whole: dict[str, tuple[dict[str, str], float]] = {}

    def make_reference(self) -> None:
        made, tokens = self.root / "made", "--form token --tokenizer {made}/model"
        self.must(f"train {made}/rows --model tiny --steps 3 --batch-size 8 --out {made}/model")
        self.must(self.line(f"apply {{first}} --plan {{made}}/first {tokens} --out {{made}}/tokens"))

    def line(self, line: str) -> str:
        data = " ".join(str(path) for path in sorted(self.root.glob("[0-9].txt")))
        at = {name: self.root / name for name in ("made", "first.txt", "tasks.jsonl")}
        return line.format(data=data, **{name.partition(".")[0]: path for name, path in at.items()})

    def must(self, line: str) -> None:
        status, said = self.ended(self.start(line))
        assert status == 0, f"{line}: {said}"

    # --- runs --------------------------------------------------------------------------------------------------

    def start(self, line: str, prepare: Callable[[], None] | None = None) -> tuple[int, Path]:
        """Begin a command in a fork. Returns its process and the file of what it says."""
        log = self.scratch.with_name(f"log-{time.monotonic_ns()}")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # what comes before the command is not its fault
        if pid := os.fork():
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            return pid, log
        status = 1
        try:
            os.setpgrp()
            file = os.open(log, os.O_CREAT | os.O_WRONLY)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.argv = ["mireorder", *line.split()]
            if prepare:
                prepare()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            cli.main(line.split())
        except SystemExit as ended:
            status = int(ended.code or 0)
        except BaseException as error:
            inside = "_run" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            status = traceback.print_exc() or 1 if inside or isinstance(error, Exception) else cli.INTERRUPTED
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def ended(self, started: tuple[int, Path]) -> tuple[int, str]:
        """Exit status (less the signal, if it died of one), and what was said."""
        pid, log = started
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said = log.read_text(errors="replace") if log.exists() else ""
        log.unlink(missing_ok=True)
        return status, said

    def undisturbed(self, case: Case) -> tuple[dict[str, str], float]:
        """Hashes of what a command makes, and the seconds that it takes."""
        if case.name not in self.whole:
            out = self.root / "whole" / case.name.replace(", ", "-")
            if case.name not in SLOW:  # once in this process: forks then begin with all that is compiled
                with suppress(SystemExit):
                    cli.main(f"{self.line(case.line)} --out {out}-warm".split())
            begun = time.monotonic()
            self.must(f"{self.line(case.line)} --out {out}")
            self.whole[case.name] = hashes(out), time.monotonic() - begun
        return self.whole[case.name]

    # --- faults ------------------------------------------------------------------------------------------------

    def note(
        self, fault: str, said: str, problem: str | None = None, different: bool = False, left: bool = False
    ) -> None:
        found = self.found.setdefault(fault, Found())
        found.injected += 1
        found.tracebacks += said.count("Traceback (most recent") > said.count("Exception ignored")  # of a callback
        found.different += different
        found.left += left
        found.recovered += problem is None and not different and not left
        if problem or different or left:
            print(f"  {fault}: {problem or ('different' if different else 'files left')}\n{said}", flush=True)

    def again(self, fault: str, case: Case, out: Path, said: str) -> None:
        """Run a command again behind a fault: it must end well, and have made the same."""
        whole = out.is_dir() and hashes(out) == self.undisturbed(case)[0]  # it had ended before
        status, more = (0, "") if whole else self.ended(self.start(f"{self.line(case.line)} --out {out}"))
        problem = None if status == 0 else f"{case.name}: the rerun ended with {status}"
        different = problem is None and hashes(out) != self.undisturbed(case)[0]
        left = [*self.scratch.iterdir(), *out.rglob(".*")]
        self.note(fault, said + more + " ".join(map(str, left)), problem, different, bool(left))
        for path in self.scratch.iterdir():
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(out, ignore_errors=True)

    def signalled(self, case: Case, number: signal.Signals) -> None:
        """End a run at a random moment."""
        out, took = self.root / "out", self.undisturbed(case)[1]
        started = self.start(f"{self.line(case.line)} --out {out}")
        time.sleep(self.draw.uniform(0, took))
        with suppress(ProcessLookupError):
            os.kill(started[0], number)
        status, said = self.ended(started)
        fault = f"{number.name} at a random moment" + ("" if number == signal.SIGKILL else ", to the parent alone")
        if number != signal.SIGKILL and status not in (0, 130, -number):  # the last before and behind the command
            self.note(fault, said, f"{case.name}: ended with {status}")
        self.again(fault, case, out, said)

    def operations(self, case: Case) -> int:
        """How often a command asks the system for what changes a folder."""
        out, counted = self.root / "out", self.root / "operations"
        self.ended(self.start(f"{self.line(case.line)} --out {out}", lambda: watched(None, counted)))
        shutil.rmtree(out)
        return int(counted.read_text())

    def killed_at(self, case: Case, at: int) -> None:
        """Kill a run when it is about to change a folder for the n-th time."""
        out = self.root / "out"
        _, said = self.ended(self.start(f"{self.line(case.line)} --out {out}", lambda: watched(at, None)))
        self.again("SIGKILL at a step (a file synced, renamed, removed; a folder made)", case, out, said)

    def worker_dies(self, case: Case) -> None:
        """Kill the process that trains."""
        out = self.root / "out"
        started = self.start(f"{self.line(case.line)} --out {out}")
        while not (workers := list(group_of(started[0]))) and not has_ended(started[0]):
            time.sleep(0.01)
        time.sleep(self.draw.uniform(0, 2))
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        _, said = self.ended(started)
        self.again("a worker dies (SIGKILL)", case, out, said)

    def parent_dies(self, case: Case) -> None:
        """Kill the parent of one that trains: it must not go on."""
        out = self.root / "out"
        started = self.start(f"{self.line(case.line)} --out {out}")
        while not any(group_of(started[0])) and not has_ended(started[0]):
            time.sleep(0.01)
        time.sleep(self.draw.uniform(0, 3))
        os.kill(started[0], signal.SIGKILL)
        _, said = self.ended(started)
        until = time.monotonic() + 2
        while any(group_of(started[0])) and time.monotonic() < until:
            time.sleep(0.05)
        if any(group_of(started[0])):
            self.note("the parent dies (SIGKILL)", said, f"{case.name}: workers are left")
            os.killpg(started[0], signal.SIGKILL)
        self.again("the parent dies (SIGKILL)", case, out, said)

    def full(self, case: Case, disk: Path, megabytes: float) -> None:
        """Run where the disk fills, then where there is room."""
        fault = "the disk fills (tmpfs)"
        with mounted(disk, megabytes):
            status, said = self.ended(self.start(f"{self.line(case.line)} --out {disk}/out"))
            if status not in (0, 2) or (status == 2 and str(disk) not in said):
                self.note(fault, said, f"{case.name}: ended with {status}, or named no file")
                return
            subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            self.again(fault, case, disk / "out", said)

    def starved(self, case: Case, fault: str, prepare: Callable[[], None]) -> None:
        """Run with too little of something, then with enough."""
        out = self.root / "out"
        status, said = self.ended(self.start(f"{self.line(case.line)} --out {out}", prepare))
        if status not in (0, 2) or (len(said.strip().splitlines()) > 1 and status == 2):
            self.note(fault, said, f"{case.name}: ended with {status}")
            return
        self.again(fault, case, out, said)

    def clock(self, case: Case) -> None:
        """Kill a run, move all times of its files by ten years, and run again with another clock."""
        out = self.root / "out"
        jump = self.draw.choice([-1, 1]) * 10 * 365 * 86400
        at = self.draw.randrange(2, 30)
        _, said = self.ended(self.start(f"{self.line(case.line)} --out {out}", lambda: watched(at, None)))
        for path in [*out.rglob("*"), out]:
            if path.exists():
                os.utime(path, (time.time() + jump,) * 2)
        self.again("the clock jumps (times of files, by 10 years)", case, out, said)

    def damaged(self, fault: str, damage: Callable[[Path], None]) -> None:
        """Damage an input between fit and apply: it must be refused by name; mended, the run goes on."""
        out, made = self.root / "out", self.root / "made"
        sums = [line.split("=") for line in (self.root / "0.txt").read_text().splitlines()]
        file, good = self.root / "input.parquet", self.root / "good.parquet"
        table = pa.table({"source": [one for one, _ in sums], "target": [other for _, other in sums]})
        pq.write_table(table, good, write_page_checksum=True)
        line = f"apply {file} --plan {made}/plan --source source --target target --out"
        shutil.copyfile(good, file)
        self.must(f"{line} {self.root}/right")
        damage(file)
        status, said = self.ended(self.start(f"{line} {out}"))
        wrong = status != 2 or file.name not in said
        shutil.copyfile(good, file)
        more, _ = self.ended(self.start(f"{line} {out}"))
        same = hashes(out) == hashes(self.root / "right")
        self.note(fault, said, "it was not refused by name" if wrong else None if more == 0 else "no rerun", not same)
        for path in (out, self.root / "right"):
            shutil.rmtree(path, ignore_errors=True)

    def output_damaged(self, fault: str, damage: Callable[[Path], None]) -> None:
        """Damage an output: `check` must say so, and a rerun write it again."""
        case, out = CASES[0], self.root / "out"
        self.must(f"{self.line(case.line)} --out {out}")
        damage(self.draw.choice(sorted((out / "train").glob("*.arrow"))))
        status, said = self.ended(self.start(f"check {out}"))
        if status != 1:
            self.note(fault, said, f"check ended with {status}")
        self.again(fault, case, out, "")

    def two_at_once(self, case: Case) -> None:
        """Begin a second run a little behind the first."""
        out = self.root / "out"
        one = self.start(f"{self.line(case.line)} --out {out}")
        time.sleep(self.draw.uniform(0, self.undisturbed(case)[1]))
        two = self.start(f"{self.line(case.line)} --out {out}")
        (first, said), (second, more) = self.ended(one), self.ended(two)
        fault = "a second run into the folder"
        refused = [text for status, text in ((first, said), (second, more)) if status]
        named = all("is being written by" in text or "not empty" in text for text in refused)
        if 0 not in (first, second) or not named:
            self.note(fault, said + more, f"{case.name}: ended with {first} and {second}")
        self.note(fault, said + more, None, hashes(out) != self.undisturbed(case)[0])
        shutil.rmtree(out)


def faults(bench: Bench, kills: int, only: str) -> None:
    """All of them."""
    cases = [case for case in CASES if only in case.name]
    if "weigh" in [case.name for case in cases]:
        bench.make_reference()
    for case in cases:
        bench.undisturbed(case)
        steps, number = bench.operations(case), max(2, round(kills / 200 * case.kills))
        for at in sorted(bench.draw.sample(range(1, steps + 1), min(steps, number // 2))):
            bench.killed_at(case, at)
        for _ in range(number - min(steps, number // 2)):
            bench.signalled(case, signal.SIGKILL)
        slow = case.name in SLOW
        for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            for _ in range(1 if slow else 3):
                bench.signalled(case, other)
        print(case.name, {name: (found.injected, found.recovered) for name, found in bench.found.items()}, flush=True)
        if case.name in ("compare", "search"):
            bench.worker_dies(case)
            bench.parent_dies(case)
        else:
            for megabytes in (0.05, 0.2) if os.geteuid() == 0 else ():
                bench.full(case, bench.root / "disk", megabytes)
            bench.clock(case)
        if not slow:
            for _ in range(2):
                bench.two_at_once(case)
                bench.clock(case)
        if case.name in ("apply", "fit", "count"):
            bench.starved(case, "too little memory (RLIMIT_AS)", little_memory)
            bench.starved(case, "no more threads", no_threads)
    if "apply" in [case.name for case in cases]:
        for _ in range(6):
            bench.damaged("an input is truncated", truncated)
            bench.damaged("a bit of an input with checksums flips", flipped(bench.draw, 700))
            bench.output_damaged("an output is truncated", truncated)
            bench.output_damaged("a bit of an output flips", flipped(bench.draw, 1))
        for _ in range(3):
            bench.damaged("an input disappears between fit and apply", Path.unlink)
            bench.damaged("an input changes between fit and apply", other_rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--only", default="", help="commands whose name holds this; then nothing is written")
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs in all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if not options.only or options.only in " ".join(SLOW):
        from mireorder.training import train  # noqa: F401 (before the forks)
    dataset_folder.TOGETHER_BYTES, parts.PART_BYTES = 1, 1
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root), options.seed)
        faults(bench, options.kills, options.only)
    text = page(bench.found, [case.name for case in CASES], time.monotonic() - started)
    print(text)
    if not options.only:
        (HERE / "FAULTS.md").write_text(text, encoding="utf-8")
    bad = [one for one in bench.found.values() if one.recovered < one.injected or one.tracebacks]
    raise SystemExit(1 if bad else 0)


if __name__ == "__main__":
    main()
