"""The restore law on every row of real data: ``python tests/benchmarks/laws.py DATA [--only NAME] [--fuzz 1000000]``.

Every applicable policy and kind, as text and as ids of two tokenizers; then generations broken at random. Prints what
holds and writes LAWS.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mireorder import Order, Plan, Reading, apply, check, fit
from mireorder.cutting import Digits, Labels, Tokens
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.emission import emit

HERE = Path(__file__).parent
READING = Reading(source=("source",), target=("target",))
QUIET = {"shuffles": 0, "resamples": 0}
VOCABULARIES = ("gpt2", "qwen2.5")
MARKED = {"markers": "⟨{}⟩", "criterion": None}
DIGITS = {
    "max": {"policy": "max"},
    "reverse": {"policy": "reverse", "criterion": None},
    "random": {"policy": "random", "criterion": None},
    "max, from the right": {"policy": "max", "align": "right"},
    "reverse, from the left": {"policy": "reverse", "align": "left"},
    "causal-max": {"policy": "causal-max"},
    "causal-min": {"policy": "causal-min"},
    "shuffle": {"policy": "shuffle", **MARKED},
    "shuffle, from the right": {"policy": "shuffle", "align": "right", **MARKED},
}
LABELS = {
    "max": {"policy": "max", "criterion": "presence"},
    "frequency": {"policy": "frequency", "criterion": None},
    "rare": {"policy": "rare", "criterion": None},
    "hardest": {"policy": "hardest"},
    "easiest": {"policy": "easiest"},
}
TEXT = {
    "words": {
        "reverse": {"policy": "reverse"},
        "shuffle": {"policy": "shuffle", **MARKED},
        "lead": {"policy": "lead"},
        "lead, 3 copies, bare": {"policy": Copying(Lead(3), marks=False)},
        "lookahead": {"policy": "lookahead"},
        "lookahead, best, whole targets": {"policy": Copying(Lookahead(5, "best"), by_sentence=False)},
    },
    "sentences": {"reverse": {"policy": "reverse"}, "random": {"policy": "random"}},
    "lines": {"reverse": {"policy": "reverse"}, "shuffle": {"policy": "shuffle", **MARKED}},
    "pieces": {"prefix, suffix, middle": {"permutation": [0, 2, 1], **MARKED}},
    "tokens": {"reverse": {"policy": "reverse"}, "random": {"policy": "random"}},
}


@dataclass
class Law:
    """What was found for one plan.

    Attributes:
        data: name of the dataset.
        rows: how many it has.
        cutter: its name.
        policy: as in the tables above.
        kind: the plan's.
        held: form -> rows restored, byte for byte, and rows set aside.
        failures: the first breaches.
    """

    data: str
    rows: int
    cutter: str
    policy: str
    kind: str
    held: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def arithmetic(name: str) -> Callable[[Path], pa.Table]:
    def read(data: Path) -> pa.Table:
        lines = [line for path in sorted((data / "arithmetic").glob(f"{name}_*.txt")) for line in path.open()]
        sides = [line.strip().rstrip("$").split("=") for line in lines if "=" in line]
        asked = [(source.lstrip("$"), target) for source, target in sides if target]  # some only ask
        return table(*zip(*asked, strict=True))

    return read


def goemotions(data: Path) -> pa.Table:
    names = (data / "goemotions" / "labels.txt").read_text("utf-8").split("\n")
    lines = [
        line
        for name in ("train", "dev", "test")
        for line in (data / "goemotions" / f"{name}.tsv").open(encoding="utf-8")
    ]
    rows = [line.split("\t") for line in lines]
    return table([row[0] for row in rows], [", ".join(names[int(i)] for i in row[1].split(",")) for row in rows])


def binary(path: str, source: list[str], labels: list[str]) -> Callable[[Path], pa.Table]:
    def read(data: Path) -> pa.Table:
        with (data / path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        texts = ["\n".join(row[name] for name in source) for row in rows]
        return table(texts, [", ".join(name for name in labels if row[name] == "1") or "none" for row in rows])

    return read


def scitldr(data: Path) -> pa.Table:
    lines = [line for name in ("train", "dev", "test") for line in (data / "scitldr" / f"{name}.jsonl").open()]
    rows = [(" ".join(row["source"]), target) for row in map(json.loads, lines) for target in row["target"]]
    return table(*zip(*rows, strict=True))


def wikitext(lines: int) -> Callable[[Path], pa.Table]:
    """Language modelling: nothing to read, so many lines to write."""

    def read(data: Path) -> pa.Table:
        targets = []
        for name in ("train", "valid", "test"):
            text = (data / "wikitext2" / f"{name}.txt").read_text("utf-8")
            written = [line for line in text.split("\n") if line.strip()]
            targets += ["\n".join(written[at : at + lines]) for at in range(0, len(written), lines)]
        return table([""] * len(targets), targets)

    return read


def table(source: Any, target: Any) -> pa.Table:
    return pa.table({"source": pa.array(source, pa.string()), "target": pa.array(target, pa.string())})


TOXIC = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
FIELDS = ["Computer Science", "Physics", "Mathematics", "Statistics", "Quantitative Biology", "Quantitative Finance"]
DATA: dict[str, tuple[Callable[[Path], pa.Table], dict[str, dict[str, Any]]]] = {
    "multiplication, 2 digits": (arithmetic("mul_2digit"), {"digits": DIGITS}),
    "addition, 3 digits": (arithmetic("add_3digit"), {"digits": DIGITS}),
    "GoEmotions": (goemotions, {"labels": LABELS}),
    "ToxicComment": (binary("jigsaw/toxic_comment.csv", ["comment_text"], TOXIC), {"labels": LABELS}),
    "PaperAbstract": (
        binary("paperabstract/paper_abstract_sample.csv", ["TITLE", "ABSTRACT"], FIELDS),
        {"labels": LABELS},
    ),
    "SciTLDR": (scitldr, TEXT),
    # Nothing stands before a whole target here, so nothing says which of its words to copy; and sentences are joined by
    # line feeds.
    "WikiText-2, one line": (
        wikitext(1),
        {
            "words": {name: TEXT["words"][name] for name in TEXT["words"] if "best" not in name},
            "sentences": TEXT["sentences"],
        },
    ),
    "WikiText-2, four lines": (wikitext(4), {name: TEXT[name] for name in ("lines", "pieces", "tokens")}),
}


def laws(data: Path, only: str | None, fuzz: int, scratch: Path) -> Iterator[tuple[Law, Counter[str]]]:
    """The law on every row of every plan, and the verdicts on broken generations."""
    chosen = {name: entry for name, entry in DATA.items() if only is None or only in name}
    texts = [policies for _, cutters in chosen.values() for name, policies in cutters.items() if name != "tokens"]
    each = -(-fuzz // sum(map(len, texts)))
    for name, (read, cutters) in chosen.items():
        rows = read(data)
        file = scratch / "rows.parquet"
        pq.write_table(rows, file)
        for cutter, policies in cutters.items():
            for policy, options in policies.items():
                vocabularies = {vocabulary: str(data / "tokenizers" / vocabulary) for vocabulary in VOCABULARIES}
                law = Law(name, len(rows), cutter, policy, "")
                broken: Counter[str] = Counter()
                for form in vocabularies if cutter == "tokens" else ("text", *vocabularies):
                    if cutter == "tokens" or form == "text":
                        plan = fitted(file, rows, cutter, options, vocabularies.get(form))
                    law.kind = plan.kind
                    law.held[form] = prove(file, plan, vocabularies.get(form), scratch / "out", law)
                    if form == "text":
                        broken = verdicts(plan, rows, each, law)
                yield law, broken


def fitted(file: Path, rows: pa.Table, cutter: str, options: dict[str, Any], tokenizer: str | None) -> Plan:
    made: Any = cutter
    if cutter == "labels":
        names = {name for target in rows["target"].to_pylist() for name in target.split(", ")} - {"none"}
        made = Labels(names=tuple(sorted(names)))
    elif cutter == "tokens":
        made = Tokens(vocabulary=0)
    elif "align" in options:
        made = Digits(options["align"])
    order = Order(**QUIET | {name: value for name, value in options.items() if name != "align"})
    own = tokenizer if cutter == "tokens" else None
    return fit(file, reading=READING, cutter=made, order=order, tokenizer=own, reject=True)


def prove(file: Path, plan: Plan, tokenizer: str | None, out: Path, law: Law) -> tuple[int, int]:
    """Rows that came back byte for byte, and rows that were set aside with a reason."""
    shutil.rmtree(out, ignore_errors=True)
    form = {"form": "token", "tokenizer": tokenizer} if tokenizer else {}
    rows = apply(file, plan, out=out, reject=True, **form)
    checked = check(out)
    law.failures += checked.failures
    refused = sum(1 for path in (out / "rejected").glob("*.jsonl") for _ in path.open("rb"))
    if checked.passed["restored"] != sum(rows.num_rows.values()):
        law.failures.append(f"{checked.passed['restored']} of {rows.num_rows} rows came back")
    return checked.passed["restored"], refused


# --- broken generations ------------------------------------------------------------------------------------------


def verdicts(plan: Plan, rows: pa.Table, most: int, law: Law) -> Counter[str]:
    """Break emissions at random and restore them: how often each verdict comes. A wrong "complete" is a failure."""
    found: Counter[str] = Counter()
    if not most:
        return found
    draw = random.Random(0)
    sample = rows.take(pa.array(sorted(draw.sample(range(len(rows)), min(2000, len(rows))))))
    batch = pa.record_batch({name: sample[name].combine_chunks().cast(pa.string()) for name in ("source", "target")})
    cut = plan.cutter.cut(batch)
    kept = [row for row in range(len(batch)) if row not in cut.problems]
    batch, cut = batch.take(pa.array(kept)), cut.take(np.array(kept))
    emitted = [text.removeprefix(plan.completion_start) for text in emit(plan, cut, batch).completions.to_pylist()]
    prompts = [plan.prompt(source) for source in batch.column("source").to_pylist()]
    while sum(found.values()) < most:
        texts, asked = [], []
        for text, prompt in zip(emitted, prompts, strict=True):
            texts.append(plan.completion_start + mangled(text[:400], emitted, draw))
            asked.append(prompt)
        restored = plan.restore_all(texts, asked)
        found.update(restored.verdicts)
        whole = [row for row in range(len(texts)) if restored.verdicts[row] == "complete"]
        emissions, read, natural = ([column[row] for row in whole] for column in (texts, asked, restored.texts))
        for row in wrongly_complete(plan, emissions, read, natural):
            law.failures.append(f"{emissions[row]!r} restores to {natural[row]!r}, called complete")
    return found


def mangled(text: str, others: list[str], draw: random.Random) -> str:
    """The text after one to three accidents."""
    for _ in range(draw.randint(1, 3)):
        a, b = sorted(draw.randint(0, len(text)) for _ in "ab")
        piece = text[a:b]
        other = draw.choice(others)[:400]
        c, d = sorted(draw.randint(0, len(other)) for _ in "cd")
        text = draw.choice(
            [
                text[:a] + text[b:],
                text[:a],
                text[:b] + piece + text[b:],
                text[:a] + other[c:d] + text[b:],
                text[:a] + draw.choice("0123456789-+ ,⟨⟩⟪⟫\n\ufffdaé𝄞") + text[a:],
                text[:a] + piece[::-1] + text[b:],
                text + other,
            ]
        )
    return text


def wrongly_complete(plan: Plan, emitted: list[str], prompts: list[str], natural: list[str]) -> list[int]:
    """Of emissions called complete, those that are none: their target would not be written like that."""
    if not emitted:
        return []
    sources = [plan.source(prompt) for prompt in prompts]
    batch = pa.record_batch({"source": pa.array(sources, pa.string()), "target": pa.array(natural, pa.string())})
    cut = plan.cutter.cut(batch)
    wrong = set(cut.problems)
    bodies = [text.removeprefix(plan.completion_start) for text in emitted]
    if plan.cutter.name == "sentences":  # what a model takes for one need not be one to the splitter
        again = [unshuffled(plan, body) for body in bodies]
        wrong |= {row for row, (a, b) in enumerate(zip(again, natural, strict=True)) if a != b}
    elif plan.kind in ("fixed", "causal"):
        again = emit(plan, cut, batch).completions.to_pylist()
        wrong |= {row for row, (a, b) in enumerate(zip(again, bodies, strict=True)) if a.strip() != b.strip()}
    for row, body in enumerate(bodies):
        units = cut.units.slice(cut.offsets[row], cut.offsets[row + 1] - cut.offsets[row]).to_pylist()
        slots = cut.slots[cut.offsets[row] : cut.offsets[row + 1]].tolist()
        if plan.kind == "set":
            split = plan.cutter.split(body)
            wrong |= {row} if sorted(split.slots) != slots else set()
        elif plan.kind == "marked":
            marks = sorted((int(slot), unit) for slot, unit in re.findall(r"⟨(\d+)⟩([^⟨]*)", body))
            if plan.cutter.name == "pieces":  # a model may cut wherever it likes
                slots, units = list(range(3)), [unit for _, unit in marks]
                wrong |= {row} if "".join(units) != natural[row] else set()
            if marks != list(zip(slots, units, strict=False)):
                wrong.add(row)
        elif plan.kind == "lead" and plan.markers is not None:
            if re.sub("⟪[^⟪⟫]*⟫" + plan.cutter.joiner, "", body) != natural[row]:
                wrong.add(row)
        elif plan.kind == "lead":
            bare, joiner = plan.copying.unmarked, plan.cutter.joiner
            parts = body.split(bare.gap) if bare.gap else [body]
            if joiner.join(part.split(joiner, bare.number)[-1] for part in parts) != natural[row]:
                wrong.add(row)
    return sorted(wrong)


def unshuffled(plan: Plan, body: str) -> str:
    """Joined units of kind ``fixed`` put back by the plan's permutation alone."""
    units = body.split(plan.cutter.joiner)
    slots = [slot for slot in plan.permutation if slot < len(units)]
    return plan.cutter.gap.join(unit for _, unit in sorted(zip(slots, units, strict=True)))


# --- the page ----------------------------------------------------------------------------------------------------


def page(found: list[tuple[Law, Counter[str]]], seconds: float) -> str:
    lines = [
        "# The restore law on real data",
        "",
        "Written by `python tests/benchmarks/laws.py DATA`: every row of every dataset is reordered, written, read",
        "back and restored from the completion and the prompt alone (`mireorder check`), by text and by the ids of two",
        "vocabularies. Each cell: rows that came back byte for byte, and behind a + those that were set aside with",
        "their reason before anything was written (a text that the tokenizer changes, a line feed that bare copies",
        "need for themselves).",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {seconds / 60:.0f} minutes on {os.cpu_count()} cores.",
        "",
        "| data | rows | cutter | policy | kind | text | GPT-2 ids | Qwen2.5 ids |",
        "|---|--:|---|---|---|--:|--:|--:|",
    ]
    for law, _ in found:
        cells = " | ".join(_cell(law.held.get(form)) for form in ("text", *VOCABULARIES))
        lines.append(f"| {law.data} | {law.rows:,} | {law.cutter} | {law.policy} | {law.kind} | {cells} |")
    total = sum(held for law, _ in found for held, _ in law.held.values())
    failures = [f"{law.data}, {law.cutter}, {law.policy}: {what}" for law, _ in found for what in law.failures]
    lines += ["", f"{total:,} rows in all; {len(failures)} failures."] + [f"- {what}" for what in failures[:50]]
    broken = sum((count for _, count in found), Counter())
    if broken:
        lines += [
            "",
            "## Broken generations",
            "",
            "Emissions of these plans after one to three accidents (cut, doubled, reversed, spliced with others, stray",
            "characters), restored. None raised; every one called complete is one that could have been written.",
            "",
            "| verdict | generations |",
            "|---|--:|",
            *(f"| {verdict} | {count:,} |" for verdict, count in sorted(broken.items())),
            f"| all | {sum(broken.values()):,} |",
        ]
    return "\n".join(lines) + "\n"


def _cell(held: tuple[int, int] | None) -> str:
    if held is None:
        return ""
    return f"{held[0]:,}" + (f" + {held[1]:,}" if held[1] else "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="laws", description=__doc__)
    parser.add_argument("data", type=Path, help="folder of the real datasets")
    parser.add_argument("--only", help="datasets whose name holds this; then nothing is written")
    parser.add_argument("--fuzz", type=int, default=1_000_000, help="broken generations in all")
    options = parser.parse_args()
    started, found = time.monotonic(), []
    with tempfile.TemporaryDirectory() as scratch:
        for law, broken in laws(options.data, options.only, options.fuzz, Path(scratch)):
            found.append((law, broken))
            cells = ", ".join(f"{form} {_cell(held)}" for form, held in law.held.items())
            print(
                f"{law.data}, {law.cutter}, {law.policy} ({law.kind}): {cells} {dict(broken)}",
                *law.failures[:3],
                sep="\n  ",
            )
    text = page(found, time.monotonic() - started)
    if options.only is None:
        (HERE / "LAWS.md").write_text(text, encoding="utf-8")
    raise SystemExit(1 if any(law.failures for law, _ in found) else 0)


if __name__ == "__main__":
    main()
