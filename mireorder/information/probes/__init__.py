"""Probes: small networks that say what a model can use. One probe a file.

A probe is trained once, on random sets of emitted slots and with some sources hidden, and then tells how many bits each
slot left costs a row when a given set is emitted, with the source and without: the held-out cross-entropies of
V-information (Xu et al. 2020, arXiv 2002.10689), whose predictors are free to ignore the source. A probe is a function,
listed by name in `PROBES`; it takes the rows, and returns what it learned as `Losses`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mireorder.tables import Table, late

if TYPE_CHECKING:
    from mireorder.information.probes.probe import Losses, Probe, ProbeRows

_HERE = "mireorder.information.probes"

PROBES: Table[Probe] = Table({"ordered": f"{_HERE}.ordered:ordered", "masked": f"{_HERE}.masked:masked"})

__all__ = ["PROBES", "Losses", "Probe", "ProbeRows"]

__getattr__ = late(globals(), {name: f"{_HERE}.probe:{name}" for name in ("Losses", "Probe", "ProbeRows")})
