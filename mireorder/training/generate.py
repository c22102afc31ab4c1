"""Generation in the order the model learnt, answers in the natural one."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, TextGenerationPipeline
from transformers.pipelines.text_generation import ReturnType

from mireorder.errors import InputError, MireorderError, some_of
from mireorder.ordering.bundle import AnyPlan, Bundle, load_plan, require_one
from mireorder.ordering.choice import Choice
from mireorder.ordering.every_order import has_keys, require_random
from mireorder.ordering.named import Asked
from mireorder.ordering.plan import Plan
from mireorder.tokenizing.chat import end_of_turn, render
from mireorder.tokenizing.tokens import encode_prompts, eos_id, fingerprint, load_tokenizer, restore_ids
from mireorder.training.any_order import SlotTokens
from mireorder.training.any_order import answers as answers_by_slot
from mireorder.training.constrain import Constraint
from mireorder.training.positions import positions_of
from mireorder.training.presets import frozen_halves, pretrained
from mireorder.training.train import TRAINING_FILE

BEST, CONFIDENT = "best", "confident"


class RestoringPipeline(TextGenerationPipeline):  # type: ignore[misc]
    """A text-generation pipeline that puts what the model emitted back into natural order.

    ``pipeline("12*34=")`` gives ``[{"generated_text": "0408", "emitted_text": "4080", "verdict": "complete",
    "problem": None}]``: the natural answer, what the model wrote, and whether that was a whole answer
    (``complete``), one that stops too early (``cut short``) or no answer of the plan (``malformed``).
    Decoding is greedy unless told otherwise; lists, batches, ``num_return_sequences`` and chats (lists of
    messages, written by the tokenizer's chat template) work as in any pipeline.

    Args:
        plan: what the model's training data was reordered by; of a bundle, prompts must tell the group.
        constrained: whether the model may write only what can be restored (`Constraint`).
        decode: the order to answer in, for a model that learnt every order: what `Plan.decode_in` takes, which
            constrains the model to it; or ``confident``, by which each next slot is the one whose unit the model is
            surest of (`mireorder.training.any_order`). None leaves it to the model.
        **kwargs: what ``TextGenerationPipeline`` takes.

    Raises:
        InputError: no order can be asked for, the model learnt one alone, or the order is none.
    """

    _default_generation_config = GenerationConfig(do_sample=False, max_new_tokens=256)

    def __init__(
        self, *args: Any, plan: AnyPlan, constrained: bool = False, decode: Asked | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.model.eval()  # fresh from a trainer it would drop out, and lose its cache to gradient checkpointing
        self.plan = plan
        self._ends = _ends(self.model, self.tokenizer)
        self._slots: SlotTokens | None = None
        self._constraint: Constraint | None = None
        if decode is not None or constrained:
            self._choose(require_one(plan, "constrained decoding", "leave out --constrain and --decode"), decode)
        self._positions: int | None = positions_of(self.model.config)

    def _choose(self, plan: Plan, decode: Asked | None) -> None:
        """What the model may write, or the order that it is made to take."""
        if decode is not None:
            require_random(plan)
        if decode == CONFIDENT and has_keys(plan):
            raise InputError("JSON fields are not decoded by confidence", remedy="name an order, or best")
        if decode == CONFIDENT:
            self._slots = SlotTokens.of(plan, self.tokenizer)
        else:
            plan = plan if decode is None else plan.decode_in(decode)
            self._constraint = Constraint(plan, self.tokenizer, self._ends, every_field=decode is not None)

    def preprocess(self, prompt_text: Any, tools: Any = None, **_: Any) -> dict[str, Any]:
        """Encode a prompt as it was encoded in training.

        Args:
            prompt_text: the prompt, or a chat, which the model reads as its template writes it before an answer.
            tools: descriptions of tools, for templates that list them.

        Returns:
            What the model reads, one row.

        Raises:
            MireorderError: the prompt is empty, leaves the model no room to answer, or has no chat template.
        """
        if messages := getattr(prompt_text, "messages", None):
            text = render(messages, "0", self.tokenizer, tools).prompt  # any answer would do
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]  # the template writes its own
        else:
            text = prompt_text
            (ids,) = encode_prompts([text], self.tokenizer)
        if not ids:
            raise MireorderError("a prompt is empty, so there is nothing to answer; give at least one character")
        if self._positions is not None and len(ids) >= self._positions:
            raise MireorderError(
                f"prompt {text[:40]!r} has {len(ids)} tokens, the model reads {self._positions} in all; "
                "shorten it, or train on rows this long"
            )
        read = torch.tensor([ids])
        return {"input_ids": read, "attention_mask": torch.ones_like(read), "prompt_text": prompt_text}

    def _forward(self, model_inputs: dict[str, Any], **generate_kwargs: Any) -> Any:
        if self._slots is not None:
            return self._by_confidence(model_inputs, self._slots, generate_kwargs)
        generate_kwargs.setdefault("eos_token_id", sorted(self._ends))
        if self._constraint is not None:
            prompts = model_inputs["prompt_text"]
            asked = [_asked(prompt) for prompt in (prompts if isinstance(prompts, list) else [prompts])]
            generate_kwargs["logits_processor"] = LogitsProcessorList([self._constraint.processor(asked)])
        # An answer may run to the end of the model's positions and no further: beyond, torch reports an
        # index error.
        if self._positions is not None:
            settings = self._get_set_generation_params({**self._generate_kwargs, **generate_kwargs})
            room = self._positions - model_inputs["input_ids"].shape[1]
            wanted = settings.get("max_new_tokens", self._default_generation_config.max_new_tokens)
            if wanted > room:
                generate_kwargs["max_new_tokens"] = room
                if len(lengths := model_inputs["attention_mask"].sum(1).unique().tolist()) > 1:
                    return self._by_length(model_inputs, lengths, generate_kwargs | {"max_new_tokens": wanted})
        return super()._forward(model_inputs, **generate_kwargs)

    def _by_confidence(self, model_inputs: dict[str, Any], slots: SlotTokens, generate_kwargs: dict[str, Any]) -> Any:
        """Each next slot the surest: there is nothing to draw, and no beam."""
        for what in ("do_sample", "num_beams", "num_return_sequences"):
            if int(generate_kwargs.get(what) or 0) > (what != "do_sample"):
                raise MireorderError(f"decoding by confidence gives one answer; leave out {what}, or name an order")
        ids, mask, end = model_inputs["input_ids"], model_inputs["attention_mask"], eos_id(self.tokenizer)
        prompts = [row[kept.bool()].tolist() for row, kept in zip(ids, mask, strict=True)]
        longest = max(map(len, prompts)) + slots.longest
        if self._positions is not None and longest > self._positions:
            problem = f"prompt and answer have up to {longest} tokens, the model reads {self._positions} in all"
            raise MireorderError(f"{problem}; shorten the prompt, or train on rows this long")
        emitted = answers_by_slot(self.model, prompts, slots, end, None)
        width = max(map(len, emitted))
        filled = ids.new_tensor([row + [end] * (width - len(row)) for row in emitted])
        sequences = torch.cat([ids, filled], 1)[:, None]
        return {"generated_sequence": sequences, "input_ids": ids, "prompt_text": model_inputs["prompt_text"]}

    def _by_length(self, model_inputs: dict[str, Any], lengths: list[int], generate_kwargs: dict[str, Any]) -> Any:
        """Prompts of one length at a time, so that none has less room because of a longer one beside it."""
        ids, mask, prompts = (model_inputs[name] for name in ("input_ids", "attention_mask", "prompt_text"))
        sequences: list[Any] = [None] * len(ids)
        for length in lengths:
            rows = (mask.sum(1) == length).nonzero()[:, 0].tolist()
            part = {
                "input_ids": ids[rows, -length:],
                "attention_mask": mask[rows, -length:],
                "prompt_text": [prompts[row] for row in rows],
            }
            made = self._forward(part, **generate_kwargs)["generated_sequence"]
            for row, sequence in zip(rows, made, strict=True):
                padding = ids[row, :-length].to(sequence.device).expand(len(sequence), -1)
                sequences[row] = torch.cat([padding, sequence], 1)
        return {"generated_sequence": sequences, "input_ids": ids, "prompt_text": prompts}

    def postprocess(
        self, model_outputs: dict[str, Any], return_type: ReturnType = ReturnType.NEW_TEXT, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Restore what was emitted for one prompt.

        Args:
            model_outputs: what ``generate`` gave.
            return_type: new text, full text (the prompt first), or tensors, which stay as they were emitted.
            **kwargs: for tensors, what ``TextGenerationPipeline`` takes.

        Returns:
            One record per returned sequence.
        """
        if return_type == ReturnType.TENSORS:
            records: list[dict[str, Any]] = super().postprocess(model_outputs, return_type, **kwargs)
            return records
        start = model_outputs["input_ids"].shape[-1]
        prompt = model_outputs["prompt_text"]
        opening = prompt if return_type == ReturnType.FULL_TEXT else ""
        sequences = model_outputs["generated_sequence"][0].tolist()
        return [self._record(sequence[start:], prompt, opening) for sequence in sequences]

    def _record(self, emitted: list[int], prompt: Any, opening: Any) -> dict[str, Any]:
        text, restored = restore_ids(emitted, self.tokenizer, self.plan, prompt=_asked(prompt), ends=self._ends)
        messages = getattr(opening, "messages", None)
        answer = {"role": "assistant", "content": restored.text}
        return {
            "generated_text": [*messages, answer] if messages else opening + restored.text,
            "emitted_text": text,
            "verdict": restored.verdict,
            "problem": restored.problem,
        }


def _asked(prompt: Any) -> str:
    """The prompt, or the last message of a chat."""
    messages = getattr(prompt, "messages", None)
    return str(messages[-1]["content"] if messages else prompt)


def _ends(model: Any, tokenizer: Any) -> set[int]:
    """What ends an answer: the tokenizer's EOS, those the model is configured with, a chat template's end of turn."""
    configured = model.generation_config.eos_token_id
    ends = {eos_id(tokenizer)} | set(configured if isinstance(configured, list) else [configured])
    if tokenizer.chat_template:
        with suppress(MireorderError):  # a template that can't end a turn matters only to those who chat by it
            ends.add(end_of_turn(tokenizer))
    return ends - {None}


def load_pipeline(
    model_folder: str | Path, device: str | None = None, constrained: bool = False, decode: Asked | None = None
) -> RestoringPipeline:
    """Load a model that ``mireorder train`` wrote, ready to answer in natural order.

    Args:
        model_folder: its folder, of a whole model or of a LoRA adapter.
        device: a torch device; by default the GPU if there is one.
        constrained: whether the model may write only what can be restored.
        decode: the order to answer in (`RestoringPipeline`); ``best`` is the one that
            `mireorder.evaluate.choosing.choose_order` chose for this model.

    Returns:
        The pipeline.

    Raises:
        MireorderError: there is no model or no plan in the folder, no order was chosen, or it is an adapter on weights
            of 4 bits and bitsandbytes is missing.
    """
    folder = Path(model_folder)
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise MireorderError(f"{folder}: no model is there; train one with 'mireorder train'")
    plan, tokenizer = load_plan(folder), load_tokenizer(folder)
    if decode == BEST and isinstance(plan, Plan):
        require_random(plan)
        decode = Choice.load(folder, plan.units).order
    if isinstance(plan, Bundle) and plan.route.kind == "column":
        problem = "no prompt says the group of a row, so no plan can be chosen to restore its answer"
        raise MireorderError(f"{folder}: {problem}; bundle the plans with --tag, and train on that")
    trained = _training(folder)
    four_bit = bool(trained.get("four_bit"))
    model = pretrained(str(folder), half=bool(trained.get("lora")) and frozen_halves(), four_bit=four_bit)
    if plan.tokenizer is not None:
        plan.require_tokenizer(fingerprint(tokenizer))
    model.generation_config = GenerationConfig.from_pretrained(folder)  # an adapter comes with its base model's
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    where = {} if four_bit else {"device": torch.device(device)}  # what is kept in 4 bits stays where it was loaded
    return RestoringPipeline(
        plan=plan, model=model, tokenizer=tokenizer, constrained=constrained, decode=decode, **where
    )


def _training(folder: Path) -> dict[str, Any]:
    """What is noted of the training: an adapter answers on the base model it was trained on, as coarse as it was."""
    try:
        found = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it was trained elsewhere
        return {}
    return found if isinstance(found, dict) else {}


def generate(
    model_folder: str | Path,
    prompts: Iterable[str],
    *,
    batch_size: int = 64,
    max_new_tokens: int | None = None,
    device: str | None = None,
    constrained: bool = False,
    decode: Asked | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer prompts one after another, in natural order: `answers` of a model that is loaded for it.

    Args:
        model_folder: a model folder of ``mireorder train``.
        prompts: read as they are needed.
        batch_size: prompts that go through the model together.
        max_new_tokens: most tokens per answer; by default a little more than the longest completion in
            training.
        device: a torch device; by default the GPU if there is one.
        constrained: whether the model may write only what can be restored.
        decode: the order to answer in, as `load_pipeline` takes it.

    Yields:
        Per prompt, ``prompt``, ``generated_text`` (natural order), ``emitted_text``, ``verdict`` and
        ``problem``.

    Raises:
        MireorderError: a number is below 1, or what `load_pipeline` raises.
    """
    _refuse_below_one(batch_size, max_new_tokens)
    pipeline = load_pipeline(model_folder, device, constrained, decode)
    yield from answers(pipeline, prompts, batch_size=batch_size, max_new_tokens=max_new_tokens)


def answers(
    pipeline: RestoringPipeline, prompts: Iterable[str], *, batch_size: int = 64, max_new_tokens: int | None = None
) -> Iterator[dict[str, Any]]:
    """Answer prompts one after another, in natural order.

    Args:
        pipeline: from `load_pipeline`.
        prompts: read as they are needed.
        batch_size: prompts that go through the model together.
        max_new_tokens: most tokens per answer; by default a little more than the longest completion in training.

    Yields:
        What `generate` does.

    Raises:
        MireorderError: a number is below 1.
        InputError: no plan of a bundle is for a prompt.
    """
    _refuse_below_one(batch_size, max_new_tokens)
    waiting: deque[str] = deque()

    def remembered() -> Iterator[str]:
        for number, prompt in enumerate(prompts):
            _require_group(pipeline.plan, prompt, number)
            waiting.append(prompt)
            yield prompt

    options = {} if max_new_tokens is None else {"max_new_tokens": max_new_tokens}
    for records in pipeline(remembered(), batch_size=batch_size, **options):
        yield {"prompt": waiting.popleft(), **records[0]}


def _require_group(plan: AnyPlan, prompt: str, number: int) -> None:
    if isinstance(plan, Bundle) and plan.other != "plain" and plan.route.group_of(prompt) is None:
        texts = some_of(map(repr, plan.route.texts.values()))
        raise InputError(
            "the prompt begins with no text of a group", row=number, remedy=f"begin it with one of {texts}"
        )


def _refuse_below_one(batch_size: int, max_new_tokens: int | None) -> None:
    for what, number in ("batch size", batch_size), ("max_new_tokens", max_new_tokens):
        if number is not None and number < 1:
            raise MireorderError(f"{what} must be at least 1, not {number}")
