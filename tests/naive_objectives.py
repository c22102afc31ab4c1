"""What objectives predict, in plain loops."""

import math

import numpy as np

IGNORED = -100


def positions(labels):
    """The positions that predict a token of the completion."""
    return [at for at in range(len(labels) - 1) if labels[at + 1] != IGNORED]


def token_order(labels, vocabulary, window, half):
    """Of every such position, the share of every token: softmax of W - d, or all of it in half precision."""
    number = np.float16 if half else np.float64
    found = {}
    for at in positions(labels):
        scores = [-math.inf] * vocabulary
        for distance, token in enumerate(labels[at + 1 : at + 1 + window]):
            if token != IGNORED and scores[token] == -math.inf:
                scores[token] = float(number(window - distance))
        highest = max(scores)
        shares = [math.exp(score - highest) for score in scores]
        found[at] = [share / sum(shares) for share in shares]
    return found


def further(labels, distance):
    """Of every such position, the token this far behind the next one; IGNORED where there is none that counts."""
    return {at: labels[at + 1 + distance] if at + 1 + distance < len(labels) else IGNORED for at in positions(labels)}


def kept(losses, entropies, keep):
    """The tokens of the lowest sums of ranks, the earlier of two that are equal."""
    by_loss, by_entropy = (sorted(range(len(of)), key=lambda at: (of[at], at)) for of in (losses, entropies))
    ranks = [by_loss.index(at) + by_entropy.index(at) for at in range(len(losses))]
    lowest = sorted(range(len(ranks)), key=lambda at: (ranks[at], at))[: round(keep * len(ranks))]
    return [at in lowest for at in range(len(ranks))]


def registers(ids, labels, offset):
    """Place by place: id (0 of a register), the token it predicts, its position, whether it is a register."""
    found = []
    for at, token in enumerate(ids):
        following = labels[at + 1] if at + 1 < len(labels) else IGNORED
        found.append((token, following, at, False))
        there = at + 1 + offset
        if following != IGNORED and there < len(labels) and labels[there] != IGNORED:
            found.append((0, labels[there], at + offset, True))
    return found


def sees(row):
    """Whether each place sees each: what stands before it, no register but itself."""
    return [[k == q or (k < q and not row[k][3]) for k in range(len(row))] for q in range(len(row))]
