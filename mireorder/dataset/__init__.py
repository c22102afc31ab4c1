"""Rows in and rows out: readers, the folder that is written, its manifest and its check."""
