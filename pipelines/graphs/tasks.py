"""Path-star (Bachmann and Nagarajan 2024, "The pitfalls of next-token prediction", arXiv 2403.06963).

A star has a centre and arms of one length. The prompt lists its edges in random order, then the centre and the end of
one arm; the answer is the path between them. In the natural order every node but the first step follows from the one
before by looking up an edge, and a model that has seen the node before learns no more than that: at the first step it
guesses one of the arms. From the end back, every node follows from the one before, the first step too.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_letters

from mireorder.errors import InputError

TEST_ROWS = 1000


@dataclass(frozen=True)
class Star:
    """A star, and the way to one of its ends.

    Attributes:
        edges: pairs of nodes, the one nearer to the centre first.
        path: nodes from the centre to the end that is asked for.
    """

    edges: tuple[tuple[str, str], ...]
    path: tuple[str, ...]

    @property
    def text(self) -> str:
        """The question: `` b a, a c, b d, d e/ b e``. A space stands before each node, here and in the answer."""
        return ",".join(f" {first} {last}" for first, last in self.edges) + f"/ {self.path[0]} {self.path[-1]}"

    @property
    def record(self) -> dict[str, str]:
        """As a row."""
        return {"text": self.text, "target": " ".join(self.path)}


def star(degree: int, length: int, draw: random.Random) -> Star:
    """A star of random names and edges in random order.

    Args:
        degree: its arms.
        length: nodes of a path, the centre included.
        draw: of names, edges and the arm that is asked for.
    """
    nodes = draw.sample(ascii_letters[: 1 + degree * (length - 1)], 1 + degree * (length - 1))
    arms = [(nodes[0], *nodes[1 + arm * (length - 1) :][: length - 1]) for arm in range(degree)]
    edges = [edge for arm in arms for edge in pairwise(arm)]
    draw.shuffle(edges)
    return Star(tuple(edges), draw.choice(arms))


def stars(degree: int, length: int, rows: int, seed: int = 0) -> dict[str, list[Star]]:
    """Stars to learn from and 1,000 to measure on, or a tenth of fewer; no question stands twice.

    Args:
        degree: arms of each star.
        length: nodes of a path, the centre included.
        rows: of both splits.
        seed: of the draws.

    Raises:
        InputError: there are more nodes than names, a path has no step to decide, or too few stars differ.
    """
    if 1 + degree * (length - 1) > len(ascii_letters) or length < 3:
        problem = f"{degree} arms with paths of {length} nodes can't be drawn"
        raise InputError(problem, remedy=f"take paths of 3 nodes or more, and at most {len(ascii_letters)} nodes")
    draw, found = random.Random(seed), dict[str, Star]()
    for _ in range(20 * rows):
        one = star(degree, length, draw)
        found[one.text] = one
        if len(found) == rows:
            break
    else:
        raise InputError(f"there are no {rows:,} such stars that differ", remedy="take fewer rows or longer paths")
    held_out = min(TEST_ROWS, max(1, rows // 10))
    both = list(found.values())
    return {"train": both[held_out:], "test": both[:held_out]}
