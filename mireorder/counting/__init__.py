"""Counting: integer codes in, mergeable tables of counts out."""
