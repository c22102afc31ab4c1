"""Run it: ``python -m pipelines.textgen wikitext --out wikitext/``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mireorder import Pieces, Plan, Reading
from mireorder.errors import InputError
from mireorder.evaluate.rouge import has_rouge, rouge
from mireorder.information.association import Associating
from mireorder.networks import NTP
from mireorder.ordering.copying.policies import Copying, Lead, Lookahead
from mireorder.ordering.order import Order
from mireorder.report.comparison import markdown_table
from pipelines import options
from pipelines.common import OUT, apply_all, fit_all, main_of, open_folder
from pipelines.pages import (
    FOLDER,
    MetricRow,
    Part,
    again,
    made_by,
    origin,
    origins,
    results,
    sizes,
    write_metrics,
    write_page,
)
from pipelines.splits import MADE_UP, SplitRows, digest, hold_out, write_data
from pipelines.teaching import SMALL, Teaching, answers_of, teach
from pipelines.textgen.tasks import TASKS, TextTask, made_up_pairs, read_pairs

FULL = Teaching(steps=1500)  # about once through WikiText-2
SMALL_SIZES = 300, 30, 200  # rows, test rows, words looked at
PIECES = 4  # of a text, for arm shuffle
ARMS = ("plain", "lead", "lead-unmarked", "lookahead", "lookahead-unmarked", "shuffle")
COLUMNS = {
    "perplexity": ("perplexity, all", ".2f"),
    "bits_per_byte": ("bits per byte, all", ".4f"),
    "perplexity_given": ("perplexity, leads given", ".2f"),
    "tokens_copied_per_token": ("copied tokens per natural token", ".3f"),
    "rouge1": ("ROUGE-1", ".3f"),
    "rouge2": ("ROUGE-2", ".3f"),
    "rougeL": ("ROUGE-L", ".3f"),
    "whole": ("answers that are whole", ".1%"),
}
FIGURE = {name: COLUMNS[name] for name in ("perplexity", "bits_per_byte", "perplexity_given", "rougeL")}
NOTE = (
    "Of perplexity and bits per byte, less is better. "
    "*All* counts every token that a model writes, leads and marks included, per token (or byte) of the natural text. "
    "A text and its leads are never likelier than the text itself, so this is an upper bound on the surprise of the "
    "text, and what can be compared between orders. It is loose by what the model is unsure of about the leads once it "
    "has read the text; for spans taken at random that includes the draw. *Leads given* counts the natural tokens "
    "alone, each given what stands before it, leads included: the paper's reading. A word that was announced costs "
    "almost nothing when it comes, so this falls even where a model has learnt nothing but to copy. A gain in *leads "
    "given* alone therefore proves nothing: only one in *all* says that the text is modelled better."
)
TOKENS = (
    "Steps are the same for all orders, and rows with leads or markers are longer: those orders were trained on more "
    "tokens, which is in their favour."
)
ROUGE = "ROUGE was not computed: rouge-score is not installed (`pip install 'mireorder[rouge]'`)."


def main(
    task: Annotated[str, typer.Argument(help=f"one of {', '.join(TASKS)}")],
    out: options.Out,
    data: options.Data = None,
    policies: Annotated[str, typer.Option(help=",".join(ARMS))] = "plain,lead,lead-unmarked,lookahead",
    unmarked: Annotated[bool, typer.Option("--unmarked", help="all copies are without marks")] = False,
    copies: Annotated[int, typer.Option(help="words copied to the front of a sentence (lead)", min=1)] = 1,
    span: Annotated[int, typer.Option(help="words of the span that is copied (lookahead)", min=1)] = 4,
    looked_at: Annotated[int, typer.Option(help="words whose association is looked at (lead)", min=1)] = 2000,
    rows: options.Rows = 1_000_000,
    test_rows: options.TestRows = 500,
    words: Annotated[int, typer.Option(help="words of a target, at most", min=1)] = 64,
    context: Annotated[int, typer.Option(help="words of what stands before, at most", min=0)] = 64,
    model: options.Model = None,
    adapter: options.Adapter = "full",
    tokenizer: options.Tokenizer = None,
    vocabulary: options.Vocabulary = None,
    seeds: options.Seeds = None,
    steps: options.Steps = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    objectives: options.Objectives = NTP,
    small: options.SmallText = False,
) -> None:
    """Is it worth it on free text? From articles to perplexity and summaries, in one folder.

    To the front of each sentence the word is copied that source and earlier sentences make likelier by most bits
    (lead), or a span of later words (lookahead), behind marks or unmarked; or four pieces of the text stand in
    another random order in every row, each behind its marker (shuffle). The data is reordered and checked, the same
    model is trained on each form with the same seeds, rows and steps, and measured on held-out rows: by all nats that
    it spends per natural token, the cost of the leads included, and by those of the natural tokens alone; summaries
    also by ROUGE of what is restored. The page says which of them can be compared.

    wikitext: WikiText-2's text files; xsum: columns document and summary; scitldr: source and target. Example:
    python -m pipelines.textgen xsum --out xsum/ --model meta-llama/Llama-3.2-1B --adapter lora --batch-size 16
    """
    dataset = options.task_of(TASKS, task)
    kind = options.passed(model=model, adapter=adapter, tokenizer=tokenizer, vocabulary=vocabulary)
    budget = options.passed(seeds=seeds, steps=steps, batch_size=batch_size, learning_rate=learning_rate)
    teaching = replace(SMALL if small else FULL, **kind, **budget, objectives=options.listed(objectives, "objectives"))
    if small:
        rows, test_rows, looked_at = map(min, (rows, test_rows, looked_at), SMALL_SIZES)
    arms = {name: _arm(name, dataset, unmarked, copies, span, looked_at) for name in options.listed(policies)}
    if small and data is None:
        dataset, found = replace(dataset, story=MADE_UP), made_up_pairs(rows + 10 * test_rows)
    else:
        found = read_pairs(dataset, data, words, context)
    splits = hold_out(found, rows, test_rows)
    texts = (f"{row.text}{dataset.between}{row.targets[0]}" for row in splits["train"])
    tokenizer = teaching.load_tokenizer(texts)  # before anything is written: the model's name may be wrong
    open_folder(out, task, unmarked, copies, span, looked_at, replace(teaching, seeds=0), digest(splits))
    paths = write_data(out, {name: [row.record for row in of] for name, of in splits.items()})
    plans = fit_all(out, paths, arms)
    # An adapter can't learn the embeddings of new tokens: its marks are text.
    apply_all(out, paths, plans, form="token", tokenizer=tokenizer, reserve=teaching.adapter == "full")
    metrics = _measure(out, dataset, splits, plans, teaching)
    write_metrics(out, metrics, FIGURE)
    about = [f"{dataset.story}; {sizes(splits)}, whose sources are not among them.", teaching.story]
    write_page(out, f"Do leads help: {task}", about + _parts(metrics, plans, dataset.summarises))
    OUT.print(f"results written to {out}")


def _arm(name: str, task: TextTask, unmarked: bool, copies: int, span: int, looked_at: int) -> dict[str, Any]:
    """What `fit` takes for a policy."""
    policy, dash, _ = name.partition("-")
    copied: dict[str, Lead | Lookahead] = {"lead": Lead(copies), "lookahead": Lookahead(span)}
    if name not in ARMS:
        raise InputError(f"there is no policy {name!r} here", remedy=f"name some of {','.join(ARMS)}")
    common = {"reading": Reading(("text",), ("target",)), "cutter": "words", "between": task.between}
    if policy == "shuffle":
        return common | {"cutter": Pieces(width=PIECES), "order": Order("shuffle", markers=True)}
    if policy == "plain":
        return common | {"order": Order("plain", None)}
    associating = Associating(words=looked_at) if policy == "lead" else None
    return common | {"order": Order(Copying(copied[policy], marks=not (unmarked or dash)), associating)}


def _measure(
    out: Path, task: TextTask, splits: SplitRows, plans: dict[str, Plan], teaching: Teaching
) -> list[MetricRow]:
    from datasets import load_from_disk

    from mireorder.evaluate.surprise import surprise_of
    from mireorder.training.generate import load_pipeline

    metrics = []
    for taught in teach(out, list(plans), teaching):
        dataset, plan = out / "datasets" / taught.order, plans[taught.order]
        pipeline, rows = load_pipeline(taught.folder), load_from_disk(str(dataset))["test"]
        found: MetricRow = {"order": taught.arm, "seed": taught.seed} | origin(dataset, plan) | taught.costs
        found |= surprise_of(pipeline.model, pipeline.tokenizer, plan, rows).as_dict()
        if task.summarises:
            found |= _summaries(pipeline, plan, splits["test"])
        OUT.print(f"{taught.arm}, seed {taught.seed}: perplexity {found['perplexity']:.2f}, leads given "
                  f"{found['perplexity_given']:.2f}")  # fmt: skip
        metrics.append(found)
        del pipeline  # the next one is trained where it lies
    return metrics


def _summaries(pipeline: Any, plan: Plan, rows: Sequence[Any]) -> MetricRow:
    """ROUGE of the restored summaries, None where it can't be had, and the share of them that is whole."""
    answers = answers_of(pipeline, [row.text for row in rows], plan)
    whole = sum(answer["verdict"] == "complete" for answer in answers) / len(rows)
    texts, references = [answer["generated_text"] for answer in answers], [row.targets for row in rows]
    return (rouge(texts, references) if has_rouge() else {}) | {"whole": whole}


def _parts(metrics: list[MetricRow], plans: dict[str, Plan], summarises: bool) -> list[Part]:
    return [
        *results(metrics, COLUMNS),
        NOTE,
        TOKENS,
        ROUGE if summarises and not has_rouge() else "",
        "What the copies cost:",
        _costs(plans),
        *origins(metrics),
        *made_by(again("textgen"), FOLDER),
    ]


def _costs(plans: dict[str, Plan]) -> list[str]:
    rows = []
    for name, plan in plans.items():
        cost = plan.copying.costs if plan.copying else None
        share = f"{cost.share:.1%}" if cost else "-"
        led = f"{cost.with_copies / max(1, cost.parts):.1%}" if cost else "-"
        rows.append([name, share, led])
    return markdown_table(("order", "units that are copies", "sentences with a copy"), rows)


if __name__ == "__main__":
    main_of(main)
