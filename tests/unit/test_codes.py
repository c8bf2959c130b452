"""A marketer's file of coupon codes: read whole, or refused with the line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from local import codes
from warehouse.errors import WinbackError


def test_generated_codes_are_different_and_have_no_letter_that_reads_like_a_digit() -> None:
    made = codes.generate("winback_discount10", 2000)
    assert len(set(made)) == 2000
    assert all(code.startswith("BACK10-") for code in made)
    assert not set("".join(code.removeprefix("BACK10-") for code in made)) & set("01OIL")


def test_a_larger_sample_pool_begins_with_the_same_codes() -> None:
    few = list(codes.sample_codes("winback_discount10", 5))
    assert list(codes.sample_codes("winback_discount10", 50))[:5] == few


def test_a_file_may_have_a_header_other_columns_blank_lines_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("\ufeffnote,Code\nfirst,AAAA-1\n\nsecond, AAAA-2 \n", encoding="utf-8")
    assert codes.read_csv(file) == ["AAAA-1", "AAAA-2"]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_file_may_have_the_marks_of_any_spreadsheet(tmp_path: Path, mark: str) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(f"note{mark}Code\n\n\nfirst{mark}AAAA-1\n{mark}AAAA-2\n")
    assert codes.read_csv(file) == ["AAAA-1", "AAAA-2"]


@pytest.mark.parametrize(
    "text", ["\n\ncode;note\nAAAA-1;never\n", 'code;"price, EUR"\nAAAA-1;2\n', "a,b\tCode\nx\tAAAA-1\n"]
)
def test_the_mark_between_columns_is_the_one_that_names_the_codes(tmp_path: Path, text: str) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(text)
    assert codes.read_csv(file) == ["AAAA-1"]


def test_codes_without_digits_are_codes_and_so_is_one_alone(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    for text in ("WELCOME\nBACK\n", "WELCOME\n", "AAAA-1\nWELCOME\n"):
        file.write_text(text)
        assert codes.read_csv(file) == text.split()


def test_a_file_without_a_header_is_read_from_its_first_line(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("AAAA-1\nAAAA-2\n")
    assert codes.read_csv(file) == ["AAAA-1", "AAAA-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("code\nAAAA-1\n\nAAAA-2\nAAAA-1\n", "line 5: the code 'AAAA-1' is already on line 2"),
        ("AA-1\nno!\nno!\n", "line 3: 'no!' is not a code (4 to 40 letters, digits, - and _), and already on line 2"),
        ("AAAA-1\nfree beer!\n", "line 2: 'free beer!' is not a code"),
        ("note,code\nfirst\n", "line 2: '' is not a code"),
        ("\n\n", "holds no code"),
        ("id,coupon\n1,AAAA-1\n", "has 2 columns, and none of them is named 'code' on line 1"),
        ("AAAA-1;x\nAAAA-2;y\n", "has 2 columns, and none of them is named 'code' on line 1"),
        (
            "Gutschein\nAAAA-1\nAAAA-2\n",
            "line 1: 'Gutschein' looks like the name of a column. If it is one, write 'code'",
        ),
        ("coupon_code\nABCDEFGH\nABCD2345\n", "line 1: 'coupon_code' looks like the name of a column"),
        ("Voucher\n", "if it is a code, put a line with the word 'code' above it"),
        ("spring\nABCDEFGH\nABCD2345\nBBCD2345\n", "line 1: 'spring' looks like"),
        ("winback10\nABCD2345\nBBCD2345\n", "line 1: 'winback10' looks like"),
        ("code,expires_at\nAAAA-1,2027-01-01\n", "line 1: the column 'expires_at' looks like the end of each code"),
        ("Ends;Code\n2027;AAAA-1\n", "give --expires-at, one for all codes of a file"),
        *(
            (f"code,{name}\nAAAA-1,2027-01-01\n", f"line 1: the column '{name}' looks like the end of each code")
            for name in (
                "end_date",
                "ends_at",
                "date end",
                "redeem_by",
                "redeemable through",
                "use by",
                "gültig bis",
                "ablaufdatum",
            )
        ),
        ("AAAA-1\nCode\n", "line 2: 'Code' is the name of a column"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "codes.csv"
    file.write_text(text)
    with pytest.raises(WinbackError, match=r"codes\.csv") as refused:
        codes.read_csv(file)
    assert said in str(refused.value)
    assert "loaded" in str(refused.value)


def test_a_file_that_is_not_there_or_no_text_is_refused_for_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(WinbackError, match=r"nowhere\.csv cannot be read: No such file or directory\. No code"):
        codes.read_csv(tmp_path / "nowhere.csv")
    file = tmp_path / "codes.csv"
    file.write_bytes(b"code\nAAAA-1\n\xff\xfe\n")
    with pytest.raises(WinbackError, match=r"cannot be read as CSV in UTF-8: it is not UTF-8\. No code was loaded"):
        codes.read_csv(file)


def test_the_first_mistakes_of_a_file_are_told_together_and_the_others_counted(tmp_path: Path) -> None:
    file = tmp_path / "codes.csv"
    file.write_text("code\nAAAA-1\nfree beer!\nAAAA-1\nAAAA-2\n" + "no\n" * 5)
    with pytest.raises(WinbackError) as refused:
        codes.read_csv(file)
    first, second, *rest = str(refused.value).splitlines()
    assert first == f"{file}, line 3: 'free beer!' is not a code (4 to 40 letters, digits, - and _)"
    assert second == f"{file}, line 4: the code 'AAAA-1' is already on line 2"
    assert [line.partition(" is not")[0] for line in rest[:3]] == [f"{file}, line {n}: 'no'" for n in (6, 7, 8)]
    assert rest[3:] == [
        "and 2 more lines like these",
        "Correct the lines (a code belongs to one person) and load the file again; no code was loaded.",
    ]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WinbackError, match=r"missing\.csv cannot be read"):
        codes.read_csv(tmp_path / "missing.csv")
