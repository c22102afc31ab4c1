"""Oracles, as in `naive_kernels`, of the kernels that write and read emissions."""

import re


def replay(units, scores, taken, starts, by_emitted, highest):
    """The units of one row in their slots; None where one can't stand in the slot that is next, or they are too few."""
    if len(units) != len(taken):
        return None
    scores, natural = list(scores), {}
    for unit in units:
        left = [slot for slot in range(len(taken)) if slot not in natural]
        slot = min(left, key=lambda s: -scores[s] if highest else scores[s])
        if unit not in taken[slot]:
            return None
        natural[slot] = unit
        scores = [a + b for a, b in zip(scores, by_emitted[starts[slot] + taken[slot].index(unit)], strict=True)]
    return "".join(natural[slot] for slot in sorted(natural))


def find_last(row):
    """The last step of each slot, None unless those are slots 0, 1, 2, ... in order."""
    steps = sorted({slot: step for step, slot in enumerate(row)}.values())
    return steps if [row[step] for step in steps] == list(range(len(steps))) else None


def sort_rows(rows):
    return [sorted(range(len(row)), key=row.__getitem__) for row in rows]


def choose_units(parts, most):
    """Of each part (a score and a word for each unit): places of the units noted."""
    found = []
    for part in parts:
        words, places = {part[0][1]}, []
        for place in sorted(range(1, len(part)), key=lambda i: -part[i][0]):
            score, word = part[place]
            if score > 0 and word not in words and len(places) < most:
                words.add(word)
                places.append(place)
        found.append(places)
    return found


def undress(before, strings, behind):
    return [string.removeprefix(before).removesuffix(behind) for string in strings]


def find_text(data, text, at, end):
    return data.find(text, at, end)


def copy_text(data, at, end, text, to):
    return text[:to] + data[at:end] + text[to + end - at :]


def write_copies(rows, copies, heads, joiner, opening, closing, gap, number):
    """Text and steps of each row; ``copies``: (unit, first, last), ``heads``: units; all counted through all rows."""
    found, start = [], 0
    for row in rows:
        parts, steps = [], []
        for place, unit in enumerate(row):
            spans = [(a - start, b - start + 1) for before, a, b in copies if before == start + place]
            ahead = [opening + joiner.join(row[a:b]) + closing for a, b in spans]
            steps += [*(i for a, b in spans for i in range(a, b)), place]
            is_head = start + place in heads
            ahead += [""] * (is_head * (number - sum(b - a for a, b in spans)))
            if place == 0 or (is_head and gap):
                parts.append([])
            parts[-1] += [*ahead, unit]
        found.append((gap.join(joiner.join(part) for part in parts), steps))
        start += len(row)
    return found


def split_marked(texts, opening, closing, slots):
    """(slot, unit) of each text; none where an opening begins no marker, a slot comes twice, or not one comes first."""
    found = []
    for text in texts:
        stray, *rest = text.split(opening)
        pairs = [re.fullmatch(rf"(?s)(0|[1-9][0-9]{{0,8}}){re.escape(closing)}(.*)", part) for part in rest]
        whole = not stray and all(pair and int(pair[1]) < slots for pair in pairs)
        whole = whole and len({pair[1] for pair in pairs}) == len(pairs)
        found.append([(int(pair[1]), pair[2]) for pair in pairs] if whole else [])
    return found


def drop_copies(texts, opening, closing, joiner):
    """What is left of each text; None where a copy is broken or does not come again before the next."""
    return [_without_copies(text, opening, closing, joiner) for text in texts]


def _without_copies(text, opening, closing, joiner):
    rest, *pieces = text.split(opening)
    regions, bodies, before = [rest], [[]], rest
    for piece in pieces:
        body, mark, behind = piece.partition(closing)
        if not (mark and body and behind.startswith(joiner) and (not before or before.endswith(joiner))):
            return None
        bodies[-1].append(body)
        before += opening + body + closing + behind
        if behind != joiner or piece is pieces[-1]:
            regions.append(behind.removeprefix(joiner))
            bodies.append([])
    if any(closing in region for region in regions):
        return None
    for place, some in enumerate(bodies[:-1]):
        region = regions[place + 1]
        last = place + 2 == len(regions)
        units = (region if last else region.removesuffix(joiner)).split(joiner)
        for body in (b.split(joiner) for b in some):
            if not region or not any(units[i : i + len(body)] == body for i in range(len(units))):
                return None
    return "".join(regions)


def drop_opened(texts, joiner, number, gap):
    """What is left of each text; None where a unit that opens a part does not come again in it."""
    found = []
    for text in texts:
        parts = [part.split(joiner) for part in (text.split(gap) if gap else [text])]
        whole = all(len(part) > number and {*part[:number]} - {""} <= {*part[number:]} for part in parts)
        found.append(joiner.join(unit for part in parts for unit in part[number:]) if whole else None)
    return found
