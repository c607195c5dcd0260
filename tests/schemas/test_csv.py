"""CSV in blocks: records, their bytes and line numbers are those that Python's reader finds, wherever a block ends."""

import csv
import io
import random

import pytest

from schemas.formats.csv_dialect import with_guesses
from schemas.formats.csv_records import find_records, scanned
from schemas.formats.csv_rows import CsvTable, Wanted, decode_csv
from schemas.job import CsvSpec

TABLE = CsvTable(("id", "v", "s"))
WANTED = Wanted(("id",), (("v", "number"), ("s", "string")))


def read(data: bytes, cut: int, table: CsvTable = TABLE) -> tuple[list[bytes], list[int], list[str]]:
    """Payloads, line numbers and texts of column `s`, of data that arrive in two pieces."""
    first = decode_csv(data[:cut], table, WANTED, 1, final=False)
    rest = decode_csv(data[first.rest :], table, WANTED, 1 + first.lines, final=True)
    pieces = [first.rows, rest.rows]
    return (
        [payload for piece in pieces for payload in piece.payloads.to_pylist()],
        [line for piece in pieces for line in (piece.numbers.to_pylist() if piece.numbers else [])],
        [text for piece in pieces for text in piece.rows.column("s").to_pylist()],
    )


WHOLE = b'a,1,x\n\nb,2,"y\n""z"""\r\nc,,"q,r"\r\nd,5,"\n"'


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_where_a_block_ends_does_not_matter(cut: int) -> None:
    payloads, lines, texts = read(WHOLE, cut)
    assert payloads == [b"a,1,x", b'b,2,"y\n""z"""', b'c,,"q,r"', b'd,5,"\n"']
    assert lines == [1, 3, 5, 6]
    assert texts == ["x", 'y\n"z"', "q,r", "\n"]


def test_regular_blocks_are_cut_as_record_by_record() -> None:
    chance = random.Random(7)
    for _ in range(20_000):
        data = bytes(chance.choice(b'ab,"\n\r') for _ in range(chance.randrange(14)))
        fast, slow = (find(data, ",", '"', True) for find in (find_records, scanned))
        assert [data[a:b] for a, b in zip(fast.starts, fast.ends, strict=True)] == [
            data[a:b] for a, b in zip(slow.starts, slow.ends, strict=True)
        ]
        assert fast.bad == slow.bad


def test_values_are_those_of_pythons_reader() -> None:
    chance, stream, rows = random.Random(8), io.StringIO(), []
    for number in range(300):
        text = "".join(chance.choice('aü,"\n ;') for _ in range(chance.randrange(6)))
        rows.append((f"{number:03}", number / 8, text))
    csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    block = decode_csv(stream.getvalue().encode(), TABLE, WANTED, 1, final=True)
    found = block.rows.rows.to_pydict()
    assert list(zip(found["id"], found["v"], found["s"], strict=True)) == rows
    assert b"\n".join(block.rows.payloads.to_pylist()) + b"\n" == stream.getvalue().encode()


def test_inch_marks_are_no_quotes() -> None:
    block = decode_csv(b'a,1,5" pipe\nb,2,6" pipe\nc,3,"7"" pipe"\n', TABLE, WANTED, 1, final=True)
    assert block.rows.rows.column("s").to_pylist() == ['5" pipe', '6" pipe', '7" pipe']


NUMBERS = {
    "thousands": (",", "1.234,5", None),
    "point beside a comma": (",", "1.5", None),
    "comma beside a point": (".", "1,5", None),
    "plus and spaces": (".", " +2.50 ", 2.5),
    "exponent": (",", "1,5e3", 1500.0),
    "hexadecimal": (".", "0x1F", None),
}


@pytest.mark.parametrize(("decimal", "text", "value"), NUMBERS.values(), ids=NUMBERS)
def test_number_is_what_is_written(decimal: str, text: str, value: float | None) -> None:
    table = TABLE._replace(delimiter=";", decimal=decimal)
    rows = decode_csv(f"a;{text};x\n".encode(), table, WANTED, 1, final=True).rows
    assert rows.rows.column("v").to_pylist() == ([] if value is None else [value])
    assert [each.error for each in rows.unreadable] == (["WrongType"] if value is None else [])


INTEGERS = {"7": 7, "7.0": 7, "-0": 0, "9223372036854775808": None, "0x10": None, "7.5": None, "9" * 5000: None}


@pytest.mark.parametrize("text", INTEGERS)
def test_whole_number_is_what_is_written(text: str) -> None:
    wanted = Wanted((), (("v", "integer"),))
    rows = decode_csv(f"a,{text},x\n".encode(), TABLE, wanted, 1, final=True).rows
    assert rows.rows.column("v").to_pylist() == ([] if INTEGERS[text] is None else [INTEGERS[text]])


FORMS = {
    "a comma within quotes": (b'a;b\n"1,2,3,4";2\n"1,2,3,4";3\n', (";", ".")),
    "decimal commas": (b"a;b\n1,5;2\n2,5;3\n", (";", ",")),
    "decimal points": (b"a;b\n1.5;2\n2.5;3\n", (";", ".")),
    "tabs": (b"a\tb c\n1\tx, y\n", ("\t", ".")),
    "bars": (b"a|b\n1|2,5\n", ("|", ",")),
    "one column": (b"a\n1\n", (",", ".")),
    "sentences": (b"id,text\n1,\"well; so; be; it\"\n2,no; yes\n", (",", ".")),
}  # fmt: skip


@pytest.mark.parametrize(("content", "form"), FORMS.values(), ids=FORMS)
def test_form_is_guessed(content: bytes, form: tuple[str, str]) -> None:
    guessed = with_guesses(content, CsvSpec())
    assert (guessed.delimiter, guessed.decimal) == form
