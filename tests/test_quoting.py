"""Quotes, delimiters and line ends of tables in text: what is read, and what is said about it."""

import csv
import gzip
import io
import json
import warnings
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_reading import QA, pairs, refusal, write

from mireorder import Plan, cli
from mireorder.dataset.formats import text
from mireorder.dataset.formats.quoting import Quoting, quoting_of
from mireorder.errors import InputError, InputWarning
from mireorder.reading import Reading

NAMED = {"source": ("q",), "target": ("a",)}
QUOTED, PLAIN = Reading(**NAMED, quotes=True), Reading(**NAMED, quotes=False)


def quiet_pairs(path, reading=QA):
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)
        return pairs(path, reading)


def noted_pairs(path, says, reading=QA):
    with pytest.warns(InputWarning, match=says):
        return pairs(path, reading)


# Quotes

cells = st.text(st.sampled_from('ab"\t\n, '), max_size=6)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_a_spreadsheet_writes_is_read_as_it_was(tmp_path_factory, rows, quoting):
    rows = [row for row in rows if any(row)]  # a blank line is no row
    out = io.StringIO()
    csv.writer(out, delimiter="\t", quoting=quoting, lineterminator="\n").writerows([("q", "a"), *rows])
    path = write(tmp_path_factory.getbasetemp() / "sheet.tsv", out.getvalue())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "BLOCK_BYTES", 7)
        assert pairs(path, QUOTED) == rows
        assume(not any("\t" in cell and "\n" in cell for row in rows for cell in row))  # their lines could be rows
        assert quiet_pairs(path) == rows


@given(st.lists(st.tuples(*[st.text(st.sampled_from('ab" '), max_size=5)] * 2), min_size=1, max_size=6))
def test_a_file_with_one_quote_that_is_no_quoting_has_none(tmp_path_factory, rows):
    rows = [('5" pipe', "1"), *(row for row in rows if any(row))]
    path = write(tmp_path_factory.getbasetemp() / "plain.tsv", "\n".join(["q\ta", *map("\t".join, rows)]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        assert pairs(path) == rows
    assert quiet_pairs(path, PLAIN) == rows


def quoting(*lines, width=2):
    return quoting_of(iter(["".join(f"{line}\n" for line in lines)]), "\t", width)


@pytest.mark.parametrize(
    ("lines", "is_quoting"),
    [
        (["a\tb"], False),
        (['"she said ""no"""\tb'], True),
        (['"two', 'lines"\tb'], True),
        (['"two', "", '"" and', 'lines"\tb'], True),
        (['"a\tb"\tc'], True),
        (['"q"\t"a"', '"1"\t""', '""\t"2"'], True),
        (['5" pipe\tb'], False),
        (['she said "no"\tb'], False),
        (['"no" she said\tb'], False),
        (['""no""\tb'], False),
        (['"open\tb', "c\td"], False),
        (['"open\tb', 'c" closed\td'], False),
        (['"open\tb', 'closed"\td'], False),  # rows that are whole without quoting are no cell of one
        (['"2\t1+1"'], False),
    ],
)
def test_a_quote_is_quoting_where_all_obey_its_rules(lines, is_quoting):
    assert quoting(*lines) == Quoting(is_quoting)


def test_what_could_be_either_is_said():
    assert quoting("q\ta", '"1"\t2') == Quoting(True, "no cell needs them")
    found = quoting("q\ta", '5" pipe\t2', '"she said ""no"""\t3')
    assert found == Quoting(False, "line 3 looks quoted: line 2 has one that does not go around a cell")


def test_a_file_that_could_be_either_says_what_was_taken_and_how_to_choose(tmp_path):
    path = write(tmp_path / "a.tsv", 'q\ta\n"1+1"\t2\n')
    says = r"^a\.tsv: quotes are taken off, as quoting, but no cell needs them; .*quotes=True or quotes=False$"
    assert noted_pairs(path, says) == [("1+1", "2")]
    assert quiet_pairs(path, QUOTED) == [("1+1", "2")]
    assert quiet_pairs(path, PLAIN) == [('"1+1"', "2")]
    path = write(tmp_path / "b.tsv", 'q\ta\n5" pipe\t2\n"a ""b"""\t3\n')
    says = r"^b\.tsv: quotes are left in the cells, as characters, but line 3 looks quoted"
    assert noted_pairs(path, says) == [('5" pipe', "2"), ('"a ""b"""', "3")]
    assert quiet_pairs(path, QUOTED) == [('5" pipe', "2"), ('a "b"', "3")]


def test_quotes_of_csv_are_quoting_unless_told(tmp_path):
    path = write(tmp_path / "a.csv", 'q,a\n"1, 1",2\n')
    assert quiet_pairs(path) == [("1, 1", "2")]
    path = write(tmp_path / "b.csv", 'q,a\n"1,2\n"b" c,3\n')
    assert quiet_pairs(path, PLAIN) == [('"1', "2"), ('"b" c', "3")]
    assert "or pass quotes=False if quotes are characters" in refusal(path)


def test_quotes_are_part_of_the_plan_only_if_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.tsv", 'q\ta\n"1+1"\tone two\n')
    fit = ["fit", "a.tsv", "--source", "q", "--target", "a", "--cutter", "words", "--policy", "reverse", "--out"]

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments])
        assert ended.value.code == 0
        return capsys.readouterr().err

    assert run(*fit, "open").count("note: a.tsv: quotes are taken off") == 1  # though the data is read several times
    assert run(*fit, "plain", "--plain-quotes") == "" == run(*fit, "quoted", "--quotes")
    from mireorder.dataset.folder import load

    assert "quotes" not in (tmp_path / "open" / "mireorder.json").read_text()
    assert (Plan.load("plain").reading.quotes, Plan.load("quoted").reading.quotes) == (False, True)
    assert run("apply", "a.tsv", "--plan", "plain", "--out", "data") == ""
    assert load(tmp_path / "data")["train"]["prompt"][:] == ['"1+1"']
    assert run("apply", "a.tsv", "--plan", "plain", "--quotes", "--out", "taken-off") == ""
    assert load(tmp_path / "taken-off")["train"]["prompt"][:] == ["1+1"]


# Delimiters


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize(("mark", "words"), [(";", "semicolons"), ("|", "bars"), ("\t", "tabs"), (",", "commas")])
def test_the_header_tells_the_delimiter_where_the_columns_are_not_there_otherwise(tmp_path, suffix, mark, words):
    path = write(tmp_path / f"a{suffix}", 'q;a\n"4;4";08\n"9 ""9""";18\n'.replace(";", mark))
    expected = [(f"4{mark}4", "08"), ('9 "9"', "18")]
    if {".csv": ",", ".tsv": "\t"}[suffix] == mark:
        assert quiet_pairs(path) == expected
    else:
        assert noted_pairs(path, f"^a{suffix}: {words} are taken for what stands between cells") == expected


def test_no_delimiter_is_taken_that_gives_only_some_of_the_columns(tmp_path):
    path = write(tmp_path / "a.csv", "q;b\n1;2\n")
    assert refusal(path).startswith("a.csv: has no column 'q'; its columns are: q;b")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
@pytest.mark.parametrize("mark", [";", "|", "\t", "^"])
def test_a_delimiter_that_is_said_needs_no_header(tmp_path, suffix, mark):
    content = 'q;a\n"4;4";08\n"9 ""9""";18\n'.replace(";", mark).encode()
    said = Reading(**NAMED, delimiter=mark)
    for has_header in (True, False):
        path = tmp_path / f"a{suffix}"
        rows = content if has_header else content.partition(b"\n")[2]
        write(path, gzip.compress(rows) if suffix.endswith(".gz") else rows)
        reading = said if has_header else replace(said, columns=("q", "a"))
        assert quiet_pairs(path, reading) == [(f"4{mark}4", "08"), ('9 "9"', "18")]


def test_a_delimiter_that_is_said_is_not_looked_for_and_stays_with_the_plan(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.csv", "q;a\n4+4;08\n9+9;18\n")
    assert refusal(path, Reading(**NAMED, delimiter=",")).startswith("a.csv: has no column 'q'; its columns are: q;a")
    headless = refusal(path, Reading(**NAMED, columns=("q", "a")))
    assert headless.startswith("a.csv, row 0: 1 fields where there are 2 columns") and "or pass delimiter" in headless
    write(tmp_path / "b.csv", "q\ta\n4+4\t08\n")
    options = "--source q --target a --cutter digits --policy reverse --json --out"

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments])
        assert ended.value.code == 0
        return capsys.readouterr().err

    note = "note: a.csv: semicolons are taken for what stands between cells, as in its header; say so with "
    assert run("fit", "a.csv", *options.split(), "seen") == f"{note}--csv-delimiter ';'\n"
    assert run("fit", "a.csv", "--csv-delimiter", ";", *options.split(), "said") == ""
    assert run("fit", "b.csv", "--csv-delimiter", r"\t", *options.split(), "tabs") == ""
    assert run("apply", "a.csv", "--plan", "said", "--out", "data") == ""
    assert [Plan.load(name).reading.delimiter for name in ("seen", "said", "tabs")] == [None, ";", "\t"]
    assert "delimiter" not in json.loads((tmp_path / "seen" / "mireorder.json").read_text())["reading"]


@pytest.mark.parametrize("mark", ["", ";;", '"', "\n", "\r", 7])
def test_what_can_not_stand_between_cells_is_refused(mark):
    with pytest.raises(InputError, match="can't stand between the cells of a table; pass one character, as ';'"):
        Reading(**NAMED, delimiter=mark)


# Line ends


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_lines_that_end_in_carriage_returns_are_called_that(tmp_path, name):
    row = {"a.csv": "q,a", "a.tsv": "q\ta", "a.jsonl": '{"q": "1", "a": "2"}', "a.txt": "1=2"}[name]
    reading = Reading(separator="=") if name == "a.txt" else QA
    message = refusal(write(tmp_path / name, f"{row}\r{row}\r"), reading)
    assert message.startswith(name + r": a line ends with a carriage return (\r) that no line feed (\n) follows")
    assert message.endswith(r"; save the file with \n or \r\n as line ends")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "q,a\n1,2\n3,4\r5,6\n"),
        ("a.tsv", "q\ta\n1\t2\n3\t4\r5\t6\n"),
        ("a.jsonl", '{"q":"1","a":"2"}\n{"q":"3"}\r{}\n'),
    ],
)
def test_a_stray_carriage_return_is_called_that_by_row(tmp_path, name, content):
    assert refusal(write(tmp_path / name, content)).startswith(f"{name}, row 1: a line ends with a carriage return (")


def test_a_header_that_a_carriage_return_ends_is_called_that(tmp_path):
    for name, content in (("a.csv", "q,a\r1,2\n"), ("a.tsv", "q\ta\r1\t2\n")):
        assert "a line ends with a carriage return" in refusal(write(tmp_path / name, content))


def test_quoted_carriage_returns_are_text(tmp_path):
    assert pairs(write(tmp_path / "a.csv", 'q,a\n"1\r2",3\n')) == [("1\r2", "3")]


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n\r\n", "\n \t\n", "\n" * 9])
@pytest.mark.parametrize("block", [1, 4, 1000])
def test_blank_lines_at_the_end_are_no_rows(tmp_path, monkeypatch, end, block):
    monkeypatch.setattr(text, "BLOCK_BYTES", block)
    lines = Reading(separator="=")
    assert pairs(write(tmp_path / "a.txt", "4+4=08\n9+9=18" + end), lines) == [("4+4", "08"), ("9+9", "18")]
    found = pairs(write(tmp_path / "b.txt", "4+4=08\n\n\n9+9=18" + end), lines)
    assert found == [("4+4", "08"), ("", None), ("", None), ("9+9", "18")]
    assert pairs(write(tmp_path / "c.txt", "\n" + end), lines) == []
    assert pairs(write(tmp_path / "d.txt", "a b\n  "), Reading(separator=" ")) == [("a", "b"), ("", " ")]
