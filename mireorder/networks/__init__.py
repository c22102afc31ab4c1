"""Small networks whose steps are written out by hand: what is trained many times over, on a CPU.

They know tensors of ids and labels, and nothing of rows, units or orders.
"""

from __future__ import annotations

from dataclasses import dataclass

IGNORED = -100
"""The label that a loss skips."""
NTP = "ntp"
"""The objective that networks have where none is named: to predict the next token."""


@dataclass(frozen=True)
class Shape:
    """The size of a GPT-2.

    Attributes:
        layers: transformer blocks.
        heads: attention heads per block.
        width: size of the residual stream.
    """

    layers: int
    heads: int
    width: int
