"""Product names as a person would print them."""

from __future__ import annotations

import pytest

from local import catalogue


@pytest.mark.parametrize(
    ("category", "product_type", "printed"),
    [
        ("BREAD", "BREAD:ITALIAN/FRENCH", "Italian and French bread"),
        ("APPLES", "APPLES GALA (BULK&BAG)", "Gala apples"),
        ("PASTA SAUCE", "MAINSTREAM", "Pasta sauce"),
        ("DRY NOODLES/PASTA", "NOODLES DRY", "Dry noodles"),
        ("FLUID MILK PRODUCTS", "FLUID MILK WHITE ONLY", "Fresh milk"),
        ("BACON", "ECONOMY", "Everyday bacon"),
        ("PIES", "PIES: FRUIT/NUT", "Fruit and nut pies"),
        ("CEREAL/BREAKFAST", "CEREAL - HOT", "Hot cereal"),
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


def test_the_size_of_a_case_is_not_the_size_of_what_is_sold() -> None:
    assert catalogue.full_name("TROPICAL FRUIT", "BANANAS", "PRODUCE", "40 LB") == "Bananas"
    assert catalogue.full_name("VEGETABLES - ALL OTHERS", "CUCUMBERS", "PRODUCE", "36 CT") == "Cucumbers"
    assert catalogue.full_name("CARROTS", "CARROTS MINI PEELED", "PRODUCE", "1 LB") == "Baby carrots, 1 lb"
    assert catalogue.full_name("WATER", "SPRING WATER", "GROCERY", "405.6 OZ") == "Spring water"
    assert catalogue.full_name("CHEESE", "SHREDDED CHEESE", "GROCERY", "8 OZ") == "Shredded cheese, 8 oz"
    assert catalogue.full_name("SOFT DRINKS", "SFT DRNK 2 LITER BTL CARB INCL", "GROCERY", "2 L").endswith("bottle")


@pytest.mark.parametrize(
    ("category", "product_type"),
    [
        ("INFANT FORMULA", "INFANT FORMULA MILK BASE"),
        ("BABY FOODS", "BABY FOOD - BEGINNER"),
        ("BEERS/ALES", "BEERALEMALT LIQUORS"),
        ("CIGARETTES", "CIGARETTES"),
        ("ANALGESICS", "PAIN RELIEF"),
        ("HAIR CARE PRODUCTS", "DANDRUFF-MEDICATED SHAMPOOS"),
        ("CONDIMENTS/SAUCES", "COOKING WINES"),
        ("BATH TISSUES", "TOILET TISSUE"),
        ("HALLOWEEN", "HALLOWEEN DECORATIONS"),
        ("SPICES & EXTRACTS", "MUSTARD AND ITS MANY SPECIALTI"),
        ("ONIONS", "ONIONS ALL OTHER"),
        ("SNACKS", "SNKS PRPCK"),
        ("BACON", None),
        (None, None),
    ],
)
def test_what_nobody_would_recommend_or_print_is_not_shown(category: str | None, product_type: str | None) -> None:
    assert not catalogue.is_shown(category, product_type)


@pytest.mark.parametrize(
    ("category", "product_type"),
    [
        ("TROPICAL FRUIT", "BANANAS"),
        ("CHEESE", "SHREDDED CHEESE"),
        ("BACON", "PREMIUM"),
        ("COFFEE", "GROUND COFFEE"),
        ("APPLES", "APPLES GALA (BULK&BAG)"),
    ],
)
def test_what_a_shopper_enjoys_is_shown(category: str, product_type: str) -> None:
    assert catalogue.is_shown(category, product_type)
