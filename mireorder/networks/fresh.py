"""Weights drawn for a small GPT-2, without transformers: its names and shapes, so that `SmallGpt` computes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from mireorder.networks import Shape

SPREAD = 0.02  # standard deviation of weights at first, as GPT-2 has it


@dataclass(frozen=True)
class _Config:
    n_layer: int
    n_head: int
    n_embd: int
    layer_norm_epsilon: float = 1e-5


class FreshWeights:
    """What `SmallGpt` takes in place of a transformers model: named weights, drawn as transformers draws them.

    Args:
        shape: layers, heads, width.
        vocabulary: ids it can read and predict.
        positions: the longest row.
        seed: of the draws; the same seed and shapes give the same weights on every machine.
    """

    def __init__(self, shape: Shape, vocabulary: int, positions: int, seed: int) -> None:
        self.config = _Config(shape.layers, shape.heads, shape.width)
        drawn, width = torch.Generator().manual_seed(seed), shape.width

        def normal(*size: int, scale: float = 1.0) -> Any:
            return torch.nn.Parameter(torch.randn(size, generator=drawn) * (SPREAD * scale))

        def norm(name: str) -> dict[str, Any]:
            return {f"{name}.weight": _constant(1.0, width), f"{name}.bias": _constant(0.0, width)}

        def dense(name: str, inputs: int, outputs: int, scale: float = 1.0) -> dict[str, Any]:
            return {f"{name}.weight": normal(inputs, outputs, scale=scale), f"{name}.bias": _constant(0.0, outputs)}

        found = {
            "transformer.wte.weight": normal(vocabulary, width),
            "transformer.wpe.weight": normal(positions, width),
        }
        damped = (
            2 * shape.layers
        ) ** -0.5  # of what is added to the residual stream (Radford et al. 2019, section 2.3)
        for layer in range(shape.layers):
            block = f"transformer.h.{layer}"
            found |= norm(f"{block}.ln_1")
            found |= dense(f"{block}.attn.c_attn", width, 3 * width)
            found |= dense(f"{block}.attn.c_proj", width, width, damped)
            found |= norm(f"{block}.ln_2")
            found |= dense(f"{block}.mlp.c_fc", width, 4 * width)
            found |= dense(f"{block}.mlp.c_proj", 4 * width, width, damped)
        self._named = found | norm("transformer.ln_f")

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        """Name and weight, in the order of a transformers model."""
        yield from self._named.items()

    def parameters(self) -> Iterator[Any]:
        """The weights."""
        yield from self._named.values()


def _constant(value: float, size: int) -> Any:
    return torch.nn.Parameter(torch.full((size,), value))
