"""Every variable a template may use: what it says, what it needs, and what it looks like.

A template holds `{{ name }}` and nothing else. All values are text, and each is known at one of three times: *static*
when the files are read, *decided* when dbt decides on the contact, *sent* when the message leaves (never stored).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
MAX_RECOMMENDATIONS = 6


class Known(StrEnum):
    """When a value is known."""

    STATIC = "static"
    DECIDED = "decided"
    SENT = "sent"


class Needs(StrEnum):
    """What a step must have for the variable to have a value."""

    NOTHING = "nothing"
    PROMOTION = "a promotion"
    PURCHASE = "the clock last_purchase"
    RECOMMENDATIONS = "recommendations"
    EMAIL = "an `email:` section"
    SMS = "an `sms:` section"


@dataclass(frozen=True)
class Variable:
    """One variable of the catalogue."""

    name: str
    meaning: str
    sample: str
    """Shown in previews where there is no real contact yet."""
    known: Known = Known.DECIDED
    needs: Needs = Needs.NOTHING
    number: int = 0
    """Recommendations: which one, from 1."""

    @property
    def is_url(self) -> bool:
        """Whether it may stand in `href` or `src`, and nothing else may."""
        return self.name.endswith("_url")


def _recommendation(number: int) -> Iterator[Variable]:
    name, category, price = (
        ("Ground Coffee, Medium Roast", "Coffee", "$7.49"),
        ("Strawberries, 1 lb", "Fresh Fruit", "$3.99"),
        ("Aged White Cheddar", "Cheese", "$5.29"),
        ("Sourdough Loaf", "Bakery", "$4.50"),
        ("Greek Yogurt, Plain", "Dairy", "$1.19"),
        ("Dark Chocolate, 72 %", "Sweets", "$2.79"),
    )[number - 1]
    page = f"https://shop.example.com/products/sample-{number}"
    for part, meaning, sample in (
        ("name", "name", name),
        ("category", "category", category),
        ("price", "price, with the shop's currency", price),
        ("image_url", "picture", f"{page}.png"),
        ("url", "page, with the campaign's utm parameters", page),
    ):
        yield Variable(
            f"rec{number}_{part}",
            f"recommendation {number}: its {meaning}",
            sample,
            needs=Needs.RECOMMENDATIONS,
            number=number,
        )


_LISTED = (
    Variable("shop_name", "the shop's name", "Riverside Market", Known.STATIC),
    Variable("shop_url", "the shop's front page, plain", "https://shop.example.com", Known.STATIC),
    Variable(
        "step_url", "the step's link, with utm parameters of the channel", "https://shop.example.com/", Known.STATIC
    ),
    Variable("postal_address", "the sender's postal address", "12 Mill Lane, Springfield", Known.STATIC, Needs.EMAIL),
    Variable("brand", "who a text is from", "Riverside Market", Known.STATIC, Needs.SMS),
    Variable("sms_opt_out", "how to opt out of texts", "Reply STOP to opt out", Known.STATIC, Needs.SMS),
    Variable("offer_text", "the promotion's offer", "10% off your next order", Known.STATIC, Needs.PROMOTION),
    Variable("last_purchase_on", "the day of the last purchase", "September 1", needs=Needs.PURCHASE),
    Variable("days_away", "days since the step's clock started", "30"),
    Variable("coupon_code", "the contact's own code", "WELCOME-7F3K9", needs=Needs.PROMOTION),
    Variable("offer_ends_on", "the last day the offer holds", "November 14", needs=Needs.PROMOTION),
    Variable("first_name", "the contact's first name, otherwise `there`", "Robin", Known.SENT),
    Variable("unsubscribe_url", "ends these messages", "https://shop.example.com/unsubscribe/sample", Known.SENT),
    Variable("preferences_url", "pause, or choose", "https://shop.example.com/preferences/sample", Known.SENT),
)

CATALOGUE: dict[str, Variable] = {
    variable.name: variable
    for variable in (*_LISTED, *(v for n in range(1, MAX_RECOMMENDATIONS + 1) for v in _recommendation(n)))
}
"""By name."""


def used(text: str) -> list[str]:
    """The variables of a text, each once, in the order of their first use."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))
