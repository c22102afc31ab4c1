"""Answers from elsewhere, restored: what servers return, and streams while they are written. Needs no torch."""
