"""Slow oracles in plain Python, written from the definitions: what the fast paths are compared with.

A row is a pair (source text, tuple of target units); bits throughout.
"""

import re
from collections import Counter
from fractions import Fraction
from itertools import combinations, permutations, product
from itertools import pairwise as neighbours
from math import comb, log, log2, sqrt

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


def _given(rows, emitted):
    return [tuple(target[k] for k in emitted) for _, target in rows]


def joint(rows, emitted, measure=information):
    """I(S; t_i | t_K)."""
    sources = [source for source, _ in rows]
    return _scores(rows, emitted, lambda t: measure(sources, t, _given(rows, emitted)))


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
    return _scores(rows, emitted, lambda t: sum(measure(w, t, _given(rows, emitted)) for w in has))


# --- orders --------------------------------------------------------------------------------------------------


def greedy(slots, score):
    """Take the slot of highest ``score(emitted)[slot]``, the lowest where they tie; repeat."""
    emitted = []
    while len(emitted) < slots:
        scores = score(emitted)
        emitted.append(max((i for i in range(slots) if i not in emitted), key=lambda i: (round(scores[i], 9), -i)))
    return emitted


def invert(permutation):
    return [permutation.index(slot) for slot in range(len(permutation))]


def order_by_evidence(scores, codes, left, starts, by_emitted, highest):
    """Of one row: the slot of most (least) evidence first, the lowest of equal ones, each adding what it says."""
    scores, left, order = list(scores), list(left), []
    while left:
        slot = min(left, key=lambda s: -scores[s] if highest else scores[s])
        order.append(slot)
        left.remove(slot)
        scores = [a + b for a, b in zip(scores, by_emitted[starts[slot] + codes[slot]], strict=True)]
    return order


def restrict(permutation, slots):
    return [slots.index(slot) for slot in permutation if slot in slots]


def add_offsets(rows):
    flat = []
    for row in rows:
        start = len(flat)
        flat += [start + value for value in row]
    return flat


def gather_characters(rows, characters):
    start = 0
    for row in rows:
        yield from (characters[start + slot] for slot in row)
        start += len(row)


def gather(orders, lists):
    return [units[slot] for order, units in zip(orders, lists, strict=True) for slot in order]


def find_repeated(rows):
    """Whether no slot of a row is below 0 or there twice."""
    return [min(row, default=0) >= 0 and len(set(row)) == len(row) for row in rows]


# --- columns of text -----------------------------------------------------------------------------------------


def dress(before, strings, behind):
    return [before + string + behind for string in strings]


def number(before, numbers):
    return [f"{before}{n}" for n in numbers]


def copy_emitted(texts, least, most):
    stripped = [text.strip(" \t\n\v\f\r") for text in texts]
    return [t if least <= len(t) <= most and set(t) <= set("0123456789+-.") else "" for t in stripped]


def fill_unpadded(texts, takes, plus, zeros, whole):
    """The number of each text that has what its slots take, without padding; None of the others."""
    found = []
    for text in texts:
        if not all(unit in ("0123456789", ".", "+-")[take] for unit, take in zip(text, takes, strict=True)):
            found.append(None)
            continue
        sign, digits = (text[0], text[1:]) if takes[0] == 2 else ("", text)
        while not zeros and len(digits.partition(".")[0]) > 1 and digits[0] == "0":
            digits = digits[1:]
        found.append(("" if sign == "+" and not plus else sign) + digits)
    return found


def lay_out(opening, heads, tails, end):
    """Ids and labels of every row, one after the other."""
    rows = [([*opening, *head], [*tail, end]) for head, tail in zip(heads, tails, strict=True)]
    ids = [i for prompt, answer in rows for i in prompt + answer]
    return ids, [i for prompt, answer in rows for i in [-100] * len(prompt) + answer]


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


# --- kernels: one oracle each, of the same name; what a kernel writes into an array is returned ----------------


def append_digits(numbers, digits, radix):
    """The numbers with a digit behind them; None if a digit is none of the radix."""
    fit = all(0 <= digit < radix for digit in digits)
    return [number * radix + digit for number, digit in zip(numbers, digits, strict=True)] if fit else None


def count_pairs(left, right, width, cells):
    seen = Counter(zip(left, right, strict=True))
    return [seen[divmod(cell, width)] for cell in range(cells)]


def run_lengths_of_numbers(keys):
    return sorted(Counter(keys).items())


def merged_length(a, b):
    return len({*a, *b})


def merge_numbers(a, b):
    """The sum of two tables, dicts from key to count."""
    return sorted((Counter(a) + Counter(b)).items())


def run_lengths(keys, counts):
    sums = Counter()
    for key, count in zip(keys, counts or [1] * len(keys), strict=True):
        sums[key] += count
    return sorted(sums.items())


merge_sorted = merge_numbers


def pairs_of_ids(rows, window):
    """Pairs of ids at most ``window`` apart, each with the place of the first among all ids."""
    place = 0
    for row in rows:
        for i in range(len(row)):
            yield from ((place + i, row[i], row[j]) for j in range(i + 1, len(row)) if j - i <= window)
        place += len(row)


def count_openings(rows, window, first, last, shift):
    """How many pairs open at each first id, shifted right, at the places ``first`` to ``last``."""
    return Counter(a >> shift for place, a, _ in pairs_of_ids(rows, window) if first <= place < last)


def scatter_pairs(rows, vocabulary, window, first, last, shift, part_of):
    """Numbers of those pairs, sorted, in the part of their first id."""
    parts = [[] for _ in range(max(part_of) + 1)]
    for place, a, b in pairs_of_ids(rows, window):
        if first <= place < last:
            parts[part_of[a >> shift]].append(a * vocabulary + b)
    return [sorted(part) for part in parts]


def parse(text):
    """Sign (0 if none), digits before and after the point, a superfluous zero, validity."""
    sign, whole, point, decimals = re.match(r"([+-]?)([0-9]*)(\.?)([0-9]*)", text).groups()
    if not point:
        decimals = ""
    return ord(sign or "\0"), len(whole), len(decimals), bool(re.match("0.", whole)), is_number(text)


def hash_strings(text):
    return mixed(fnv(text.encode()))


def scan_numbers(texts, places):
    """Hash of the text around the numbers of each, and the longest number of each place, the last for all later."""
    longest = [0] * places
    for text in texts:
        for place, number in enumerate(numbers(text)):
            longest[min(place, places - 1)] = max(longest[min(place, places - 1)], len(number))
    return [fnv(around(text).encode()) for text in texts], longest


def digit_codes(text, widths):
    """1 + digits of its numbers, behind 1s for the zeros that pad them; 0s for a number it lacks."""
    found = numbers(text)
    padded = [found[k].zfill(width) if k < len(found) else None for k, width in enumerate(widths)]
    return [
        1 + int(d) if number else 0 for number, width in zip(padded, widths, strict=True) for d in number or "0" * width
    ]


def count_cells(rows, columns, radices, weights):
    """Weights of the rows by their codes in the columns, row-major."""
    seen = Counter()
    for row, weight in zip(rows, weights, strict=True):
        seen[tuple(row[c] for c in columns)] += weight
    return [seen[cell] for cell in product(*(range(radices[c]) for c in columns))]


def draw_pairs(first_row, first_column, total, uniform):
    """The counts of the first cell that a shuffle may draw for the uniform number: its quantile, give or take rounding.

    The chance of a count is hypergeometric.
    """
    chances = {
        cell: Fraction(comb(first_row, cell) * comb(total - first_row, first_column - cell), comb(total, first_column))
        for cell in range(max(0, first_row + first_column - total), min(first_row, first_column) + 1)
    }
    allowed, below = set(), Fraction(0)
    for cell, chance in chances.items():
        if below - Fraction(1, 10**12) <= Fraction(uniform) <= below + chance + Fraction(1, 10**12):
            allowed.add(cell)
        below += chance
    return allowed


def copy_characters(data, first, length, to, flat):
    found = list(flat)
    for at, size, place in zip(first, length, to, strict=True):
        found[place : place + size] = data[at : at + size]
    return found


def sum_words(rows, words, emitted):
    """Sums over words of the information of each word's presence with every slot left, and of what it rests on.

    A row is a pair (set of words, target); one list over the slots left each.
    """
    given = _given(rows, emitted)
    has = [[word in own for own, _ in rows] for word in range(words)]
    columns = [[target[slot] for _, target in rows] for slot in range(len(rows[0][1])) if slot not in emitted]

    def cells_of(*columns):
        return len(set(zip(*columns, strict=True)))

    terms = {
        "bits": information,
        "variance": lambda x, y, z: noise(x, y, z) ** 2 * len(x),
        "bias": lambda x, y, z: cells_of(x, z) + cells_of(y, z) - cells_of(x, y, z) - cells_of(z),
        "support": cells,
        "effective": effective,
    }
    return {name: [sum(term(w, y, given) for w in has) for y in columns] for name, term in terms.items()}


def pairs_before(rows):
    """Counts of (word before, word in the sentence), each pair once a sentence, of rows (source, sentences).

    Words are lower-cased; sources and sentences are lists of words.
    """
    counts = Counter()
    for source, sentences in rows:
        before = set(source)
        for sentence in sentences:
            counts.update((s, t) for s in before for t in set(sentence))
            before |= set(sentence)
    return counts


def _spans(values, bounds):
    return [values[a:b] for a, b in neighbours(bounds)]


def _by_sentence(passages):
    """(row, the distinct words before, the words of each unit) of every sentence."""
    source = _spans(passages.source.tolist(), passages.source_bounds.tolist())
    units = _spans(_spans(passages.words.tolist(), passages.word_bounds.tolist()), passages.heads.tolist())
    for row, sentences in enumerate(_spans(units, passages.sentence_bounds.tolist())):
        before = list(source[row])
        for sentence in sentences:
            yield row, before, sentence
            before = list(dict.fromkeys(before + [word for unit in sentence for word in unit]))


def count_before(passages):
    """Number of (word before, word in the sentence), of every sentence."""
    return [len(before) * len({word for unit in units for word in unit}) for _, before, units in _by_sentence(passages)]


def fill_before(passages, words, first, last):
    """Keys of those pairs, in some order, of the sentences ``first`` to ``last - 1``."""
    return [
        ((words if passages.held[row] else 0) + s) * words + t
        for row, before, units in list(_by_sentence(passages))[first:last]
        for t in {word for unit in units for word in unit}
        for s in before
    ]


def score_units(passages, left, right, scored):
    """Score and word of each unit: that of its first best word, None where there is none."""
    found = []
    for _, before, units in _by_sentence(passages):
        total = [sum(column) for column in zip(*(left[s] for s in before), strict=True)]
        for unit in units:
            each = [
                (sum(a * b for a, b in zip(total, right[t], strict=True)), -t) for t in unit if scored[t] and before
            ]
            found.append((max(each)[0], -max(each)[1]) if each else None)
    return found
