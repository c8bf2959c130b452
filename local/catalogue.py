"""Product names that a person would print, from the package's till abbreviations, and what may be shown in a message.

The package knows departments, categories, types and sizes; it has no names, pictures or pages. Names are its types made
readable (`local.shelves` has the best-selling ones by hand); pictures, pages, stock and launch days are made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from local.shelves import CATEGORIES, NAMES, NEVER_SHOWN

WORDS = {
    "FRZN": "frozen", "SFT": "soft", "DRNK": "drink", "DRNKS": "drinks", "BTL": "bottle", "SNGL": "single",
    "SGL": "single", "SRV": "serve", "SV": "serve", "MLT": "multi", "PK": "pack", "PKG": "packaged", "PKGD": "packaged",
    "PKLD": "pickled", "DNRS": "dinners", "DNR": "dinner", "BRKFST": "breakfast", "REFRGRATD": "refrigerated",
    "SALD": "salad", "DRSNG": "dressing", "SNDWCH": "sandwich", "SPRD": "spread", "PNT": "peanut", "BTR": "butter",
    "PWDR": "powder", "CRYSTL": "crystal", "MX": "mix", "MXS": "mixes", "BN": "beans", "VEG": "vegetables",
    "WTR": "water", "FLVR": "flavored", "FLVRD": "flavored", "CHIX": "chicken", "CHICK": "chicken", "GDS": "goods",
    "SW": "sweet", "JCE": "juice", "CONC": "concentrate", "WT": "weight", "BR": "bread", "CHOC": "chocolate",
    "TORT": "tortilla", "BNLS": "boneless", "ORGNC": "organic", "TISS": "tissues", "FD": "food", "TRSH": "trash",
    "BG": "bags", "BKD": "baked", "MISC": "assorted", "SNKS": "snacks", "CKYS": "cookies", "CRKR": "crackers",
    "CNDY": "candy", "CLEANG": "cleaning", "SPLY": "supplies", "NTRTNL": "nutritional", "NAT": "natural",
    "GRND": "ground", "SLCD": "sliced", "VAL": "value", "IWS": "wrapped", "SS": "single-serve", "RTS": "ready-to-serve",
    "HBC": "care", "INF": "infant", "TODD": "toddler", "SHLDR": "shoulder", "BBQ": "BBQ", "DVDS": "DVDs", "TV": "TV",
    "CRBNTD": "carbonated", "ECONOMY": "everyday",
    "ORIENTAL": "asian", "MNERAL": "mineral", "DRNKING": "drinking", "DRD": "dried", "DSH": "dishes",
}  # fmt: skip
"""What the till abbreviates."""

_GRADES = """
PREMIUM MAINSTREAM ENHANCED BLENDS REGULAR ECONOMY SUPER VALUE SPECIALTY OTHER ALL BULK SELECT KITS CUPS CANS POULTRY
ORGANIC HISPANIC GOURMET BASIC SINGLES FRESH FROZEN WHITE RED
"""
GRADES = frozenset(_GRADES.split())
"""Types that say nothing without their category."""
_UNSAID = frozenset({"MAINSTREAM", "ENHANCED", "REGULAR", "OTHER", "ALL", "BULK", "SINGLES", "SELECT"})
"""Grades that say nothing with it either."""

_NEVER_RECOMMENDED = re.compile(
    r"MEDICAT|DENTURE|ENERGY|DIET|RAZOR|BLADES|MATCHES|LIGHTER|COOKING WINE|COCKTAIL MIX|SPORTS MEDICINE|LICE\b"
    r"|DANDRUFF|DEODORANT|ANTIPERSP|DEPILATOR|DIPILATOR|INFANT|BABY|SEASONAL|MISC|COUPON|GARBAGE|CHEMICALS|SALT SUBST"
    r"|BETTER FOR YOU|OFFAL|INTERNAL|EXTERNAL|BUTTS|JOWL|LOAVE|PAILS|QUARTS|CHUB|DISCONTINUED|PROMOTIONAL|FASTENERS"
    r"|SEAFOOD-FRE|W/FLOUR|LESS THAN|HEARING AID|HORSERADISH SA|PICAN$|MINCEMEAT|CONTINUITY|ASCEPTIC|EVERYDAY$"
    r"|^(?:DRY|COOKED|OVEN|MICROWAVE|FLATS|ACTIVITY|PANTRY|LAUNDRY|MEAT INCLUDED)$"
)
"""Types that no message shows, whatever shelf they stand on."""
_CUT_OFF = 30
"""Characters after which the till cuts a type off, in the middle of a word as often as not."""
_SAYS_NOTHING = re.compile(r"\b(?:other|bulk|value|assorted|regular|added|dsd|all|ex|etc)\b|[:/]", re.IGNORECASE)
_ABBREVIATED = re.compile(r"\b(?!BBQ\b|TV\b|DVDs\b)[^\Waeiouy\d_]{2,}\b|\bw/", re.IGNORECASE)
_BULK_DEPARTMENTS = frozenset({"PRODUCE", "MEAT", "DELI", "SEAFOOD", "SALAD BAR", "ORGANICS"})
_LARGEST = {"OZ": 200, "LB": 50}
_LARGEST_IN_BULK = {"OZ": 48, "LB": 5, "CT": 0, "GA": 0, "GAL": 0}
"""Sizes above these are of the case that a shop unpacks, not of what it sells."""

_NOUN_FIRST = re.compile(
    r"^(APPLES|GRAPES|PEPPERS|ONIONS|POTATOES|TOMATOES|PEACHES|CARROTS|ORANGES|MUSHROOMS|PEARS|SQUASH)[: ]+([A-Z ]+)$"
)
_KIND_LAST = re.compile(r"^([A-Z& ]+?) ?(?:: ?| - |- )([A-Z&/ ]+)$")
_PACKED = re.compile(r"\b(?:case|bottle|multipack|pack|packaged|pouch|canister|cup|box|liter)\b|\bdeli\b|\bsalad bar\b")
_DRY_LAST = re.compile(r"^([A-Z& ]+?):? DRY$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?) ?(OZ|CT|ML|LB|L|GAL|GA|PT|QT|PK)\b")
_UNITS = {"GA": "gal", "L": "L"}


def readable(text: str) -> str:
    """`FRZN BREAKFAST FOODS` -> `Frozen breakfast foods`; `PIES: FRUIT/NUT` -> `Fruit and nut pies`."""
    text = re.sub(r"\([^)]*\)?", " ", text)
    text = _NOUN_FIRST.sub(r"\2 \1", text.strip())
    text = _DRY_LAST.sub(r"DRY \1", text)
    text = _KIND_LAST.sub(r"\2 \1", text.strip())
    text = re.sub(r"\s*:\s*", ": ", re.sub(r"\s*&\s*", " & ", text))
    text = re.sub(r"[A-Z]+", lambda word: WORDS.get(word.group(), word.group().lower()), text)
    text = re.sub(r"[a-z ]+(?:/[a-z ]+)+", _listed, text)
    text = re.sub(r"\s+", " ", text.replace("&", "and")).strip(" -/:,")
    text = re.sub(r"\b(italian|french|mexican|asian|swiss|american|danish|irish)\b", _capital, text)
    return text[:1].upper() + text[1:]


def _capital(word: re.Match[str]) -> str:
    return word.group().capitalize()


def _listed(words: re.Match[str]) -> str:
    *first, last = (word.strip() for word in words.group().split("/"))
    return f"{', '.join(first)} and {last}" if last else ", ".join(first)


def name(category: str | None, product_type: str | None) -> str:
    """The printed name of a product of this category and type, without its size."""
    if product_type in NAMES:
        return NAMES[product_type]
    if category and (not product_type or product_type in GRADES):
        shelf = shelf_name(category)
        if not product_type or product_type in _UNSAID:
            return shelf
        return f"{readable(product_type)} {shelf[:1].lower()}{shelf[1:]}"
    return readable(product_type or "") or "Assorted item"


def shelf_name(category: str) -> str:
    """What the shelf of this category is called."""
    return CATEGORIES.get(category) or readable(category)


def is_shown(category: str | None, product_type: str | None) -> bool:
    """Whether a message may show such a product: it is one to recommend, and its name one to print."""
    if not category or not product_type or category in NEVER_SHOWN or _NEVER_RECOMMENDED.search(product_type):
        return False
    if product_type in NAMES:
        return True
    is_whole = len(product_type) < _CUT_OFF or "(" in product_type
    printed = name(category, product_type)
    return is_whole and not _ABBREVIATED.search(printed) and not _SAYS_NOTHING.search(printed)


def size(text: str | None, department: str | None = None) -> str | None:
    """`16 OZ` -> `16 oz`; None where the package's size is not one a person would print."""
    found = _SIZE.match(text or "")
    if not found:
        return None
    largest = (_LARGEST_IN_BULK if department in _BULK_DEPARTMENTS else _LARGEST).get(found[2])
    if largest is not None and float(found[1]) > largest:
        return None
    return f"{found[1]} {_UNITS.get(found[2], found[2].lower())}"


def full_name(category: str | None, product_type: str | None, department: str | None, package: str | None) -> str:
    """Name and size, as `Shredded cheese, 8 oz`; a name that says how it is packed does without the size."""
    words, printed = name(category, product_type), size(package, department)
    return words if printed is None or _PACKED.search(words) else f"{words}, {printed}"


def each(function: Callable[..., str | None], *columns: list[str | None]) -> list[str | None]:
    """The function over columns, worked out once for each distinct row."""
    known: dict[tuple[str | None, ...], str | None] = {}
    return [known[row] if row in known else known.setdefault(row, function(*row)) for row in zip(*columns, strict=True)]
