"""Exports: a reordered dataset in the files that other trainers read."""
