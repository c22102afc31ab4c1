"""Loss and gradient of a small GPT-2, written out by hand: the numbers of transformers at a third of the time.

A small model's step is made of little matrices, and most of its time goes to what stands between them: modules, the
autograd tape, an optimiser that visits every weight. Here weights and gradients are one flat tensor each, of which the
model's own parameters are views; positions come first in every activation, so that heads, queries, keys and values
are read in place and the positions that predict nothing are cut off as a slice; and the last block runs on those
positions alone that predict a token of the completion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import gelu, linear

from mireorder.networks import IGNORED
from mireorder.networks.memory import keep_freed_memory
from mireorder.networks.past import Past

_SLOPE, _CUBE = 2 * math.sqrt(2 / math.pi), 0.044715  # gelu(x) = x * sigmoid(slope * (x + cube * x^3))
# On a CPU torch's products come from MKL, which on processors not of Intel's make takes the narrow vector instructions;
# oneDNN, which torch has beside it for compiled models, takes the wide ones.
_ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def is_small(model: Any) -> bool:
    """Whether `SmallGpt` computes what this model does: a float32 GPT-2 without dropout, as the presets are.

    Args:
        model: a transformers model.
    """
    config = model.config
    return bool(
        type(model).__name__ == "GPT2LMHeadModel"
        and model.dtype == torch.float32
        and config.activation_function in ("gelu_new", "gelu_pytorch_tanh")  # one function, two kernels
        and not (config.resid_pdrop or config.embd_pdrop or config.attn_pdrop)
        and config.scale_attn_weights
        and not (config.scale_attn_by_inverse_layer_idx or config.add_cross_attention)
        and config.tie_word_embeddings
    )


@dataclass(frozen=True)
class _Saved:
    """What a block's backward pass needs of its forward pass: tensors of positions, rows and width."""

    norm1: Any
    weight: Any
    qkv: Any
    attention: Any
    mixed: Any
    norm2: Any
    inner: Any
    gate: Any
    activated: Any


class SmallGpt:
    """A GPT-2 whose weights lie in one tensor. Building it moves the model's parameters there, until `release`.

    Attributes:
        weights: float32 tensor (parameters,): all of them; the model's parameters are views of it. Its ``grad`` is
            that of the last `loss`.

    Args:
        model: a ``GPT2LMHeadModel`` that `is_small`, or weights of one (`FreshWeights`).
        bidirectional: let every position see all others, so that masked ids can be predicted.
    """

    def __init__(self, model: Any, *, bidirectional: bool = False) -> None:
        keep_freed_memory()
        named = dict(model.named_parameters())
        sizes = [weight.numel() for weight in named.values()]
        with torch.no_grad():
            self.weights = torch.cat([weight.detach().flatten() for weight in named.values()])
            self.weights.grad = torch.zeros_like(self.weights)
            self._model, self._weight, self._grad = model, dict[str, Any](), dict[str, Any]()
            parts = zip(named.items(), self.weights.split(sizes), self.weights.grad.split(sizes), strict=True)
            for (name, weight), values, slopes in parts:
                weight.data = self._weight[name] = values.view(weight.shape)
                self._grad[name] = slopes.view(weight.shape)
        config = model.config
        self._layers, self._heads, self._epsilon = config.n_layer, config.n_head, config.layer_norm_epsilon
        self._width, self._bidirectional = config.n_embd, bidirectional
        self._onednn = _ONEDNN if self.weights.device.type == "cpu" else None
        self._one = self.weights.new_tensor(1.0)

    def release(self) -> None:
        """Give every parameter of the model its own memory back, as those who save it expect."""
        for weight in self._model.parameters():
            weight.data = weight.data.clone()

    @torch.inference_mode()  # less to do for every view than without gradients alone
    def loss(self, ids: Any, targets: Any) -> Any:
        """Mean loss over the targets, and its gradient in ``weights.grad``.

        Args:
            ids: int64 tensor (positions, rows): what the model reads.
            targets: int64 tensor (predicting, rows): what the last of these positions must predict; -100 counts for
                nothing.

        Returns:
            A scalar tensor.
        """
        positions = len(ids)
        last, norm, saved, embedding = self._forward(ids, len(targets))
        grad = self._grad
        loss, slopes = _cross_entropy(last @ embedding.t(), targets.flatten())
        torch.mm(slopes.t(), last, out=grad["transformer.wte.weight"])
        dx = self._norm_back("transformer.ln_f", (slopes @ embedding).view(-1, ids.shape[1], self._width), norm)
        for layer in reversed(range(self._layers)):
            dx = self._block_back(layer, dx, saved[layer])
        grad["transformer.wte.weight"].index_add_(0, ids.flatten(), dx.view(-1, self._width))
        grad["transformer.wpe.weight"].zero_()
        torch.sum(dx, 1, out=grad["transformer.wpe.weight"][:positions])
        return loss

    @torch.inference_mode()
    def logits(self, ids: Any, predicting: int, past: Past | None = None, places: Any = None, mask: Any = None) -> Any:
        """What the last positions predict.

        Args:
            ids: int64 tensor (positions, rows).
            predicting: how many of the last positions.
            past: what was read before, of the same rows; keys and values of these positions are written behind it.
            places: int64 tensor (positions,), where each stands; by default they follow what was read before.
            mask: float32 tensor (positions, positions), -inf where the first must not see the second, else 0; by
                default each sees those before it, or all if the network reads both ways.

        Returns:
            float32 tensor (predicting, rows, vocabulary).
        """
        last, _, _, embedding = self._forward(ids, predicting, past, places, mask, learning=False)
        return (last @ embedding.t()).view(predicting, ids.shape[1], len(embedding))

    def past(self, rows: int, positions: int) -> Past:
        """An empty past of some rows, with room for as many positions."""
        head = self._width // self._heads
        return Past(self.weights.new_empty(self._layers, 2, rows * self._heads, positions, head))

    def _forward(
        self,
        ids: Any,
        predicting: int,
        past: Past | None = None,
        places: Any = None,
        mask: Any = None,
        *,
        learning: bool = True,
    ) -> tuple[Any, Any, list[_Saved], Any]:
        """What the head reads, flat; what its norm and the blocks need on the way back; and the embedding."""
        positions, before, weight = len(ids), past.length if past else 0, self._weight
        embedding, where = weight["transformer.wte.weight"], weight["transformer.wpe.weight"]
        x = embedding.index_select(0, ids.flatten()).view(positions, -1, self._width)
        x += (where[before : before + positions] if places is None else where[places])[:, None]
        if mask is None:
            mask = torch.full((positions, positions), -math.inf, device=self.weights.device).triu_(1)
            if self._bidirectional:
                mask.zero_()
        mask = torch.cat([mask.new_zeros(positions, before), mask], 1) if before else mask
        saved = []
        for layer in range(self._layers):
            seen = mask[positions - predicting :] if layer == self._layers - 1 else mask
            x, kept = self._block(layer, x, seen, past, learning)
            if learning:
                saved.append(kept)
        last, norm = self._norm("transformer.ln_f", x)
        return last.view(-1, self._width), norm, saved, embedding

    def _block(self, layer: int, x: Any, mask: Any, past: Past | None, learning: bool) -> tuple[Any, _Saved]:
        """One block; only as many of the last positions come out as the mask has rows."""
        name, width, head = f"transformer.h.{layer}", self._width, self._width // self._heads
        positions, rows = x.shape[:2]
        out = len(mask)
        normed, norm1 = self._norm(f"{name}.ln_1", x)
        weight = self._by_head(self._weight[f"{name}.attn.c_attn.weight"])
        bias = self._by_head(self._weight[f"{name}.attn.c_attn.bias"])
        qkv = self._product(normed.view(-1, width), weight.t(), bias)
        q, k, v = self._split(qkv, positions)
        k, v = past.behind(layer, k, v) if past else (k, v)
        attention = torch.baddbmm(mask, q[:, positions - out :], k.transpose(1, 2), alpha=head**-0.5)
        attention -= attention.amax(-1, keepdim=True)  # torch's softmax is slow on rows this short
        attention.exp_()
        attention /= attention.sum(-1, keepdim=True)
        mixed = torch.bmm(attention, v).transpose(0, 1).reshape(-1, width)
        x = self._linear(f"{name}.attn.c_proj", mixed).view(out, rows, width).add_(x[positions - out :])
        normed2, norm2 = self._norm(f"{name}.ln_2", x)
        inner = gate = None
        if learning:
            inner = self._linear(f"{name}.mlp.c_fc", normed2.view(-1, width))
            gate = (inner * inner).mul_(_SLOPE * _CUBE).add_(_SLOPE).mul_(inner).sigmoid_()
            activated = inner * gate
        else:
            activated = self._activated(f"{name}.mlp.c_fc", normed2.view(-1, width))
        x = self._linear(f"{name}.mlp.c_proj", activated).view(x.shape).add_(x)
        return x, _Saved((normed, norm1), weight, qkv, attention, mixed, (normed2, norm2), inner, gate, activated)

    def _block_back(self, layer: int, dx: Any, saved: _Saved) -> Any:
        """The gradient of a block's input, from that of what came out of it."""
        name, width, head = f"transformer.h.{layer}", self._width, self._width // self._heads
        out, rows = dx.shape[:2]
        slope = self._linear_back(f"{name}.mlp.c_proj", dx.view(-1, width), saved.activated)
        # Of x s(u): s + x s (1 - s) u', where u' = slope + 3 slope cube x^2.
        bent = (saved.inner * saved.inner).mul_(3 * _SLOPE * _CUBE).add_(_SLOPE).mul_(saved.activated)
        slope *= bent.lerp_(self._one, saved.gate)
        (normed, norm1), (normed2, norm2) = saved.norm1, saved.norm2
        slope = self._linear_back(f"{name}.mlp.c_fc", slope, normed2.view(-1, width))
        dx = self._norm_back(f"{name}.ln_2", slope.view(dx.shape), norm2).add_(dx)

        dmixed = self._linear_back(f"{name}.attn.c_proj", dx.view(-1, width), saved.mixed)
        dmixed = dmixed.view(out, -1, head).transpose(0, 1)
        positions = len(normed)
        q, k, v = self._split(saved.qkv, positions)
        q = q[:, positions - out :]
        dqkv = torch.zeros_like(saved.qkv) if out < positions else torch.empty_like(saved.qkv)
        dq, dk, dv = self._split(dqkv, positions)
        dv.copy_(torch.bmm(saved.attention.transpose(1, 2), dmixed))
        slope = torch.bmm(dmixed, v.transpose(1, 2)).mul_(saved.attention)
        slope.addcmul_(saved.attention, slope.sum(-1, keepdim=True), value=-1).mul_(head**-0.5)
        dq[:, positions - out :] = torch.bmm(slope, k)
        dk.copy_(torch.bmm(slope.transpose(1, 2), q))

        normed = normed.view(-1, width)
        outer = self._outer(normed, dqkv).view(width, -1, 3, head)
        self._natural(self._grad[f"{name}.attn.c_attn.weight"]).copy_(outer)
        self._natural(self._grad[f"{name}.attn.c_attn.bias"]).copy_(dqkv.sum(0).view(-1, 3, head))
        dnormed = self._product(dqkv, saved.weight).view(positions, rows, width)
        back = self._norm_back(f"{name}.ln_1", dnormed, norm1)
        back[positions - out :] += dx
        return back

    def _natural(self, c_attn: Any) -> Any:
        """Columns of ``c_attn``, stored as query, key and value of all heads, as (..., heads, 3, width of a head)."""
        return c_attn.unflatten(-1, (3, self._heads, -1)).transpose(-3, -2)

    def _by_head(self, c_attn: Any) -> Any:
        """The columns head by head, so that heads of what they make are read in place."""
        return self._natural(c_attn).flatten(-3)

    def _split(self, qkv: Any, positions: int) -> tuple[Any, Any, Any]:
        """Queries, keys and values, each (rows x heads, positions, width of a head): views."""
        return qkv.view(positions, -1, 3, self._width // self._heads).transpose(0, 1).unbind(2)

    def _linear(self, name: str, x: Any) -> Any:
        return self._product(x, self._weight[f"{name}.weight"].t(), self._weight[f"{name}.bias"])

    def _activated(self, name: str, x: Any) -> Any:
        """GELU of a product, which oneDNN takes while it writes the product."""
        weight, bias = self._weight[f"{name}.weight"].t(), self._weight[f"{name}.bias"]
        if self._onednn is None:
            return gelu(linear(x, weight, bias), approximate="tanh")
        return self._onednn(x, weight, bias, "gelu", [], "tanh")

    def _linear_back(self, name: str, dy: Any, x: Any) -> Any:
        self._grad[f"{name}.weight"].copy_(self._outer(x, dy))
        torch.sum(dy, 0, out=self._grad[f"{name}.bias"])
        return self._product(dy, self._weight[f"{name}.weight"])

    def _product(self, x: Any, weight: Any, bias: Any = None) -> Any:
        """``x @ weight.t() + bias``."""
        if self._onednn is None:
            return linear(x, weight, bias)
        return self._onednn(x, weight, bias, "none", [], "")

    def _outer(self, x: Any, y: Any) -> Any:
        """``x.t() @ y``, of many rows: the faster way round."""
        if x.shape[1] > y.shape[1]:
            return self._product(y.t(), x.t()).t()
        return self._product(x.t(), y.t())

    def _norm(self, name: str, x: Any) -> tuple[Any, Any]:
        weight, bias = self._weight[f"{name}.weight"], self._weight[f"{name}.bias"]
        out, mean, spread = torch.native_layer_norm(x, (self._width,), weight, bias, self._epsilon)
        return out, (x, mean, spread)

    def _norm_back(self, name: str, dy: Any, saved: Any) -> Any:
        weight, bias = self._weight[f"{name}.weight"], self._weight[f"{name}.bias"]
        dx, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
            dy, saved[0], (self._width,), *saved[1:], weight, bias, (True, True, True)
        )
        self._grad[f"{name}.weight"].copy_(dweight)
        self._grad[f"{name}.bias"].copy_(dbias)
        return dx


def _cross_entropy(logits: Any, targets: Any) -> tuple[Any, Any]:
    """Mean loss over the targets that count, and its gradient to the logits (tokens, vocabulary)."""
    counts = targets != IGNORED
    share = counts / counts.sum()
    chosen = targets.clamp(min=0)[:, None]
    logits -= logits.amax(-1, keepdim=True)
    right = logits.gather(1, chosen)
    slopes = logits.exp_()
    total = slopes.sum(-1, keepdim=True)
    loss = ((total.log() - right)[:, 0] * share).sum()
    slopes *= (share / total[:, 0])[:, None]
    slopes.scatter_add_(1, chosen, -share[:, None])
    return loss, slopes
