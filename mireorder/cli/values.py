"""What options are given as: lists, lines of a file, sizes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from mireorder.errors import InputError


def listed(text: str | None) -> tuple[str, ...]:
    """The parts of a,b,c, or none."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


def dashed(option: str) -> str:
    """An option as it is written: missing_rows is missing-rows."""
    return option.replace("_", "-")


def lines(path: Path) -> list[str]:
    """Lines of a text file, or of standard input for ``-``."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"can't be read ({error})", shard=str(path), remedy="name a UTF-8 text file") from None
    return text.removesuffix("\n").split("\n") if text else []


def size(text: str | None) -> int | None:
    """Bytes of a size such as 512MB, 2GB or 100000."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not found:
        raise InputError(f"{text!r} is not a size in bytes", remedy="write it as 512MB or 2GB")
    return int(found[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[found[2].upper()]
