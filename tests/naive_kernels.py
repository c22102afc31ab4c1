"""One oracle for each kernel, of the same name, in plain Python: what a kernel writes into an array is returned."""

import math
import re
from collections import Counter
from fractions import Fraction
from itertools import pairwise as neighbours
from itertools import product
from math import comb

from naive import around, cells, effective, emitted_units, fnv, information, is_number, mixed, noise, numbers
from naive_parts import DIGITS, digits_of, last_number, with_digits

# --- permutations --------------------------------------------------------------------------------------------


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


def move_bytes(order, rows, before):
    return b"".join(before + bytes(row[slot] for slot in order) for row in rows)


def gather(orders, lists):
    return [units[slot] for order, units in zip(orders, lists, strict=True) for slot in order]


def find_repeated(rows):
    """Whether no slot of a row is below 0 or there twice."""
    return [min(row, default=0) >= 0 and len(set(row)) == len(row) for row in rows]


def topological(rows, draws, before):
    """Places by step: the unit of the lowest draw among those that no unit left must come before."""
    orders = []
    for slots, drawn in zip(rows, draws, strict=True):
        left, order = set(range(len(slots))), []
        while left:
            free = [u for u in left if not any(before[slots[other]][slots[u]] for other in left)]
            order.append(min(free, key=lambda unit: drawn[unit]))
            left.remove(order[-1])
        orders.append(order)
    return orders


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


# --- counting ------------------------------------------------------------------------------------------------


def append_digits(numbers, digits, radix):
    """The numbers with a digit behind them; None if a digit is none of the radix."""
    fit = all(0 <= digit < radix for digit in digits)
    return [number * radix + digit for number, digit in zip(numbers, digits, strict=True)] if fit else None


def count_pairs(left, right, width, cells):
    """None where a row is outside the table."""
    seen = Counter(zip(left, right, strict=True))
    return (
        None
        if any(a * width >= cells or b >= width for a, b in seen)
        else [seen[divmod(cell, width)] for cell in range(cells)]
    )


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


# --- numbers in text -----------------------------------------------------------------------------------------


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


def copy_characters(data, first, length, to, flat):
    found = list(flat)
    for at, size, place in zip(first, length, to, strict=True):
        found[place : place + size] = data[at : at + size]
    return found


# --- information ---------------------------------------------------------------------------------------------


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


def sum_words(rows, words, emitted):
    """Sums over words of the information of each word's presence with every slot left, and of what it rests on.

    A row is a pair (set of words, target); one list over the slots left each.
    """
    given = emitted_units(rows, emitted)
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


def see_word(entries, group, cells, groups, all_cells):
    """Rows by group and by cell, and the groups that have some as they are met, of entries (target, rows)."""
    by_group = [sum(rows for target, rows in entries if group[target] == z) for z in range(groups)]
    by_cell = [sum(rows * cells[target].count(c) for target, rows in entries) for c in range(all_cells)]
    return by_group, by_cell, list(dict.fromkeys(group[target] for target, rows in entries if rows))


def forget_word(touched, cells_of_group):
    """Ones, but zeros for these groups and their cells."""
    gone = {cell for z in touched for cell in cells_of_group[z]}
    return [int(z not in touched) for z in range(len(cells_of_group))], [int(c not in gone) for c in range(4)]


# --- words before --------------------------------------------------------------------------------------------


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


def number_pairs(groups, codes):
    """The place of each row's pair among the distinct pairs in ascending order, and their number."""
    pairs = list(zip(groups, codes, strict=True))
    distinct = sorted(set(pairs))
    return [distinct.index(pair) for pair in pairs]


def sum_extended(codes, others, base, radix, weights):
    """Per other column, ``sum n log2 n`` over cells (other, base), less that over cells without the target."""
    sums = []
    for column in others:
        whole, alone = Counter(), Counter()
        for other, cell, weight in zip(codes[column], base, weights, strict=True):
            whole[other, cell] += weight
            alone[other, cell // radix] += weight
        entropy = [sum(n * math.log2(n) for n in counts.values() if n) for counts in (whole, alone)]
        sums.append(entropy[0] - entropy[1])
    return sums


# --- the last numbers of texts ----------------------------------------------------------------------------------


def find_last_numbers(texts):
    """Of each text that has one: where it stands in bytes, its digits behind a separator, and behind the point."""
    found = []
    for text in texts:
        span = last_number(text)
        if span is None:
            found.append(None)
            continue
        number = text[slice(*span)]
        separator = next((at for at, char in enumerate(number) if char not in DIGITS), len(number))
        behind = sum(char in DIGITS for char in number[separator:]), len(number.partition(".")[2])
        found.append((*(len(text[:at].encode()) for at in span), *behind))
    return found


def copy_digits(texts):
    return [None if (span := last_number(text)) is None else digits_of(text, span) for text in texts]


def put_digits(texts, digits):
    """Null where there is no number, or no digit before its first separator."""
    written = []
    for text, given, number in zip(texts, digits, find_last_numbers(texts), strict=True):
        fits = number is not None and given is not None and len(given) > number[2]
        written.append(with_digits(text, last_number(text), given) if fits else None)
    return written
