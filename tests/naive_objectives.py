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
