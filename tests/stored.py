"""Inputs and outputs of the tests of storage, on this machine and in stores."""

import gzip
import io
from contextlib import redirect_stderr, redirect_stdout

import pyarrow as pa
import pytest

from mireorder import Reading
from mireorder.storage import Upload, files_in, opened, place

LINES = Reading(separator="=")
FILES = {"train": "train.txt", "test": "test.txt.gz", "dev": "deep/dev.txt.zst"}  # by split


def sums(first, last):
    return [f"{a}+{b}={a + b}\n" for a in range(first, last) for b in range(0, 40, 4)]


def written(folder):
    """Write files of three splits, two of them packed."""
    (folder / "deep").mkdir(parents=True)
    (folder / "train.txt").write_text("".join(sums(0, 40)))
    with gzip.open(folder / "test.txt.gz", "wt") as file:
        file.write("".join(sums(40, 50)))
    with pa.output_stream(str(folder / "deep/dev.txt.zst"), compression="zstd") as file:
        file.write("".join(sums(50, 60)).encode())
    return folder


def uploaded(folder, url):
    """Copy a folder into a store; its URL."""
    for file in files_in(folder):
        with Upload(place(url) / file.relative_to(folder).as_posix()) as sink:
            sink.write(file.read_bytes())
    return url


def content(folder):
    """Path -> bytes of all files in a folder."""
    there = place(folder)
    return {file.relative_to(there).as_posix(): opened(file).read() for file in files_in(there)}


def splits_of(folder):
    return {name: f"{folder}/{file}" for name, file in FILES.items()}


def run(*arguments):
    """Exit status and all that a command prints."""
    from mireorder.cli import main

    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    return ended.value.code, said.getvalue()
