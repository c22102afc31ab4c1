"""Bounds of what a plan may hold, checked before anything is allocated or looped over; of names: `MOST_NAME`."""

from __future__ import annotations

MOST_FILE = 1 << 30
"""Bytes of a plan's file: a table of scores has a number for each step and slot."""
MOST_SLOTS = 1 << 20
"""Units of a target, entries of a list, and whatever counts them: width, length, decimals, copies."""
MOST_TEXT = 1 << 20
"""Characters of any other text: a warning, what stands between units."""
MOST_LAYER = 1 << 30
"""Characters of a layer of an association: its words, or their weights in base64."""
MOST_MARK = 100
"""Characters of a marker, which is written once a unit."""
MOST_WHOLE = (1 << 63) - 1
"""Of a whole number."""
MOST_NUMBER = 1e300
"""Of any other number."""
MOST_EVIDENCE = 1 << 48
"""Of one value about one slot: sums of thousands of them stay within 64 bits."""
MOST_GROUPS = 256
"""Groups of rows that have plans of their own in one bundle: each has a file open while rows are read."""
