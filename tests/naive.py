"""Slow oracles in plain Python, written from the definitions: what the fast paths are compared with.

A row is a pair (source text, tuple of target units); bits throughout.
"""

import re
from collections import Counter
from itertools import combinations, permutations
from math import log, log2, sqrt

# --- information ---------------------------------------------------------------------------------------------


def entropy(symbols):
    n = len(symbols)
    return -sum(c / n * log2(c / n) for c in Counter(symbols).values())


def miller_madow(symbols):
    return entropy(symbols) + (len(set(symbols)) - 1) / (2 * len(symbols) * log(2))


def _pointwise(x, y, z):
    """log2 p(x, y | z) / (p(x | z) p(y | z)) of every row."""
    n_z, n_xz, n_yz = Counter(z), Counter(zip(x, z, strict=True)), Counter(zip(y, z, strict=True))
    n_xyz = Counter(zip(x, y, z, strict=True))
    return [
        log2((n_xyz[a, b, c] / n_z[c]) / (n_xz[a, c] / n_z[c] * n_yz[b, c] / n_z[c]))
        for a, b, c in zip(x, y, z, strict=True)
    ]


def information(x, y, z):
    """I(X; Y | Z), the mean of the pointwise information."""
    return sum(_pointwise(x, y, z)) / len(x)


def corrected(x, y, z):
    """H(X, Z) + H(Y, Z) - H(X, Y, Z) - H(Z), each by Miller-Madow."""
    xz, yz, xyz = list(zip(x, z, strict=True)), list(zip(y, z, strict=True)), list(zip(x, y, z, strict=True))
    return miller_madow(xz) + miller_madow(yz) - miller_madow(xyz) - miller_madow(z)


def noise(x, y, z):
    """Standard error of the mean of the pointwise information."""
    values = _pointwise(x, y, z)
    mean = sum(values) / len(values)
    return sqrt(sum((v - mean) ** 2 for v in values) / len(values) / len(values))


def cells(x, y, z):
    return len(set(zip(x, y, z, strict=True)))


def effective(x, y, z):
    """2^H of the cells seen."""
    return 2 ** entropy(list(zip(x, y, z, strict=True)))


def every_shuffle(x, y):
    """I(X; Y) of every order of y, each as likely as any other."""
    return [information(x, list(order), [0] * len(x)) for order in permutations(y)]


def benjamini_hochberg(p):
    """The lowest level at which each test is rejected: those up to the largest rank i with p(i) <= i / m * level."""

    def rejects(level, value):
        ranks = [i for i, v in enumerate(sorted(p), 1) if v <= i / len(p) * level * (1 + 1e-12)]
        return bool(ranks) and value <= sorted(p)[max(ranks) - 1]

    levels = sorted({min(v * len(p) / i, 1.0) for v in p for i in range(1, len(p) + 1)} | {1.0})
    return [min(level for level in levels if rejects(level, value)) for value in p]


# --- sources -------------------------------------------------------------------------------------------------


def fnv(data):
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def mixed(h):
    """The finalizer of MurmurHash3."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ (h >> 33)) * factor % 2**64
    return h ^ (h >> 33)


def numbers(text):
    return re.findall("[0-9]+", text)


def around(text):
    """What stands around the numbers."""
    return re.sub("[0-9]+", "0", text)


def source_units(sources):
    """Rows of: the text around the numbers where it varies, then every number's digits behind zeros.

    A number the row lacks has None for digits.
    """
    found = [numbers(source) for source in sources]
    widths = [max(len(f[k]) for f in found if len(f) > k) for k in range(max(map(len, found)))]
    rows = []
    for source, own in zip(sources, found, strict=True):
        row = [around(source)] if len(set(map(around, sources))) > 1 else []
        for k, width in enumerate(widths):
            row += list(own[k].zfill(width)) if k < len(own) else [None] * width
        rows.append(row)
    return rows


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def top_words(sources, most):
    rows = Counter(word for source in sources for word in words(source))
    return sorted(sorted(rows, key=lambda word: (-rows[word], word))[:most])


# --- criteria: the score of every slot, None for those emitted -----------------------------------------------


def _scores(rows, emitted, score):
    targets = [target for _, target in rows]
    return [None if i in emitted else score([t[i] for t in targets]) for i in range(len(targets[0]))]


def emitted_units(rows, emitted):
    return [tuple(target[k] for k in emitted) for _, target in rows]


def joint(rows, emitted, measure=information):
    """I(S; t_i | t_K)."""
    sources = [source for source, _ in rows]
    return _scores(rows, emitted, lambda t: measure(sources, t, emitted_units(rows, emitted)))


def _columns(rows, emitted):
    """Source units, then emitted units, each over all rows."""
    units = source_units([source for source, _ in rows])
    return [*zip(*units, strict=True), *([target[k] for _, target in rows] for k in emitted)]


def pairwise(rows, emitted, measure=information):
    """sum_j I(s_j; t_i) + sum_K I(t_k; t_i)."""
    nothing = [0] * len(rows)
    return _scores(rows, emitted, lambda t: sum(measure(s, t, nothing) for s in _columns(rows, emitted)))


def subset(rows, emitted, k, normalised=False, measure=information):
    """max over A within S and K, |A| <= k, of I(A; t_i), divided by the plug-in H(t_i) or not."""
    columns, nothing = _columns(rows, emitted), [0] * len(rows)
    sets = [chosen for size in range(1, k + 1) for chosen in combinations(columns, size)]

    def score(t):
        best = max(measure(list(zip(*chosen, strict=True)), t, nothing) for chosen in sets)
        return best / (entropy(t) or 1) if normalised else best

    return _scores(rows, emitted, score)


def presence(rows, emitted, most, measure=information):
    """sum over the top words w of I(w in S; t_i | t_K)."""
    sources = [source for source, _ in rows]
    has = [[word in words(source) for source in sources] for word in top_words(sources, most)]
    return _scores(rows, emitted, lambda t: sum(measure(w, t, emitted_units(rows, emitted)) for w in has))


# --- orders --------------------------------------------------------------------------------------------------


def greedy(slots, score):
    """Take the slot of highest ``score(emitted)[slot]``, the lowest where they tie; repeat."""
    emitted = []
    while len(emitted) < slots:
        scores = score(emitted)
        emitted.append(max((i for i in range(slots) if i not in emitted), key=lambda i: (round(scores[i], 9), -i)))
    return emitted


# --- digits --------------------------------------------------------------------------------------------------


def is_number(text):
    return text is not None and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text) is not None


def padded(text, whole, signed):
    """The number with zeros before it, and its sign written out."""
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
    missing = whole - len(digits.partition(".")[0])
    return (sign if signed else "") + "0" * missing + digits


def unpadded(text, signed, plus, zeros):
    """Undo `padded` in data that writes '+' (``plus``) and superfluous zeros (``zeros``), or does not."""
    sign, digits = (text[0], text[1:]) if signed else ("", text)
    while not zeros and re.match("0[0-9]", digits):
        digits = digits[1:]
    return ("" if sign == "+" and not plus else sign) + digits
