"""Reordered datasets on the hub: published beside their natural order, and pulled from there."""
