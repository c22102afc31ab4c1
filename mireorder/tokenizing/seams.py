"""The seam of prompt and completion: where both are encoded together, a token may span it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mireorder.arrays import equal_lists, list_array, ranges
from mireorder.tokenizing.ids import bare_ids, flat


def merged_seams(prompts: Sequence[str], completions: Sequence[str], tokenizer: Any) -> NDArray[np.bool_]:
    """Whether the ids of prompt and completion together are other than those of one behind those of the other.

    Args:
        prompts: what the model reads.
        completions: what it must emit, one each.
        tokenizer: a transformers tokenizer; nothing that it puts before or behind a text is looked at.

    Returns:
        bool (rows,).
    """
    (before, heads), (behind, tails) = (flat(bare_ids(texts, tokenizer)) for texts in (prompts, completions))
    both = [prompt + completion for prompt, completion in zip(prompts, completions, strict=True)]
    offsets, ids = flat(bare_ids(both, tokenizer))
    first = np.stack([before[:-1], len(heads) + behind[:-1]], axis=1).ravel()
    lengths = np.stack([np.diff(before), np.diff(behind)], axis=1).ravel()
    apart = np.concatenate([heads, tails])[ranges(first, lengths)]
    return ~equal_lists(list_array(before + behind, pa.array(apart)), list_array(offsets, pa.array(ids)))
