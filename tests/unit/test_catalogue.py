"""Product names as a person would print them."""

from __future__ import annotations

import pytest

from local import catalogue


@pytest.mark.parametrize(
    ("category", "product_type", "printed"),
    [
        ("BREAD", "BREAD:ITALIAN/FRENCH", "Bread: Italian/French"),
        ("APPLES", "APPLES GALA (BULK&BAG)", "Gala apples"),
        ("PASTA SAUCE", "MAINSTREAM", "Pasta sauce: mainstream"),
        ("DRY NOODLES/PASTA", "NOODLES DRY", "Dry noodles"),
        ("FLUID MILK PRODUCTS", "FLUID MILK WHITE ONLY", "Fresh milk"),
        ("FRZN BREAKFAST FOODS", None, "Frozen breakfast foods"),
        (None, None, "Assorted item"),
    ],
)
def test_a_type_of_the_till_becomes_a_name(category: str | None, product_type: str | None, printed: str) -> None:
    assert catalogue.name(category, product_type) == printed


@pytest.mark.parametrize(
    ("text", "printed"),
    [("16 OZ", "16 oz"), ("300 CT(1)", "300 ct"), ("1.5 L", "1.5 L"), ("A 3 FOR 1", None), (None, None)],
)
def test_a_size_is_printed_only_where_it_is_one(text: str | None, printed: str | None) -> None:
    assert catalogue.size(text) == printed
