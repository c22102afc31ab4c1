"""Kind `causal`: each next slot follows from the source and the units already emitted, so it can be replayed."""

from mireorder.undo.causal import replayed, restore_causal

__all__ = ["replayed", "restore_causal"]
