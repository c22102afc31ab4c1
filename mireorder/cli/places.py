"""Output folders, before anything is written."""

from __future__ import annotations

from pathlib import Path

KEPT = "counted"
"""Folder beside the one that is written, of counts that a run which is killed leaves to the next."""


def require_new(out: Path, restart: bool) -> None:
    """Refuse a folder that holds something, before anything is done, unless that will be moved aside."""
    from mireorder import lock

    if not restart:
        lock.require_new(out)


def fresh(out: Path, restart: bool) -> None:
    """Move what is in the output folder aside, where that is asked for."""
    from mireorder import lock

    if restart:
        lock.set_aside(out)
