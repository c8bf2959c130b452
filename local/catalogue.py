"""Product names that a person would print, from the package's till abbreviations, and what may be shown in a message.

The package knows departments, categories, types and sizes; it has no names, pictures or pages. Names are its types made
readable; pictures, pages, stock and launch days are made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable

NAMES = {
    "FLUID MILK WHITE ONLY": "Fresh milk",
    "SOFT DRINKS 12/18&15PK CAN CAR": "Soft drinks, case of cans",
    "SOFT DRINKS 20PK&24PK CAN CARB": "Soft drinks, large case of cans",
    "YOGURT NOT MULTI-PACKS": "Yogurt",
    "YOGURT MULTI-PACKS": "Yogurt multipack",
    "SFT DRNK 2 LITER BTL CARB INCL": "Soft drink, 2-liter bottle",
    "SFT DRNK SNGL SRV BTL CARB (EX": "Soft drink, single bottle",
    "SFT DRNK MLT-PK BTL CARB (EXCP": "Soft drink, bottle multipack",
    "MAINSTREAM WHITE BREAD": "White bread",
    "MAINSTREAM WHEAT/MULTIGRAIN BR": "Wheat and multigrain bread",
    "CANDY BARS (SINGLES)(INCLUDING": "Candy bar",
    "CANDY BARS (MULTI PACK)": "Candy bar multipack",
    "CANDY BAGS-CHOCOCLATE": "Chocolate candy",
    "CANDY BAGS-NON CHOCOLATE": "Candy bag",
    "SS ECONOMY ENTREES/DINNERS ALL": "Everyday frozen dinner for one",
    "FRZN SS PREMIUM ENTREES/DNRS/N": "Premium frozen dinner for one",
    "FRZN SS PREMIUM ENTREES/DNRS/T": "Premium frozen dinner for one",
    "FRZN MULTI SERVE ENTREES ALL": "Family-size frozen dinner",
    "FRZN BAGGED VEGETABLES - PLAIN": "Frozen vegetables",
    "FRZN BOXED VEGETABLES- VALUE A": "Frozen vegetables in sauce",
    "FRZN BREADED PREPARED CHICK": "Frozen breaded chicken",
    "DAIRY CASE 100% PURE JUICE - O": "Orange juice",
    "DAIRY CASE JUICE DRNK UNDER 10": "Chilled juice drink",
    "RTS SOUP: CHUNKY/HOMESTYLE ET": "Homestyle soup",
    "SNACK CAKE - MULTI PACK": "Snack cakes",
    "IWS SINGLE CHEESE": "Cheese slices",
    "NATURAL CHEESE EXACT WT CHUNKS": "Natural cheese block",
    "NATURAL CHEESE EXACT WT SLICES": "Natural cheese slices",
    "CHEESE: NATURAL BULK": "Natural cheese from the deli",
    "PRIMAL": "Beef roast",
    "CHOICE BEEF": "Choice beef",
    "LEAN": "Lean ground beef",
    "PASTA: CANNED": "Canned pasta",
    "SNACKS/APPETIZERS": "Frozen snacks and appetizers",
    "BABY FOOD - BEGINNER": "Baby food, first stage",
    "BABY FOOD JUNIOR ALL BRANDS": "Baby food, junior",
    "POTATOES RUSSET (BULK&BAG)": "Russet potatoes",
    "ONIONS SWEET (BULK&BAG)": "Sweet onions",
    "SALAD BAR FRESH FRUIT": "Fresh fruit from the salad bar",
    "NON-CRBNTD DRNKING/MNERAL WATE": "Mineral water",
    "SGL SV/VEND MACH SNACKS CHIP/P": "Single-serve chips",
    "CANNED CAT FOOD (9 LIVES/FRISK": "Canned cat food",
    "CHEESE CRACKERS (CHEEZ-ITS/GOL": "Cheese crackers",
    "BUTTER SPRAY CRACKER (RITZ/CLU": "Butter crackers",
    "SOUP CRACKERS (SALTINE/OYSTER)": "Soup crackers",
    "MACARONI & CHEESE DNRS": "Macaroni and cheese",
    "SEMI-SOLID SALAD DRESSING MAY": "Mayonnaise",
    "VARIETY BEANS - KIDNEY PINTO": "Kidney and pinto beans",
    "BEANS GREEN: FS/WHL/CUT": "Green beans",
    "MEXICAN SAUCESSALSAPICANTEE": "Salsa",
    "CANISTER POTATO/TORT CHIPS": "Canister chips",
    "REFRIGERATED SPECILATY ROLLS": "Refrigerated rolls",
    "PAPER TOWELS & HOLDERS": "Paper towels",
    "FACIAL TISSUE & PAPER HANDKE": "Facial tissues",
    "TRAY PACK/CHOC CHIP COOKIES": "Chocolate chip cookies",
    "MEAT: TURKEY BULK": "Turkey from the deli",
    "MEAT:HAM BULK": "Ham from the deli",
    "SW GDS:DONUTS": "Donuts",
    "SW GDS: SW ROLLS/DAN": "Sweet rolls and Danish",
    "ORANGES NAVELS ALL": "Navel oranges",
    "ASEPTIC PACK JUICE AND DRINKS": "Juice boxes",
    "CATSUP": "Ketchup",
    "BLENDS": "Salad blend",
    "REGULAR GARDEN": "Garden salad mix",
    "GARDEN PLUS": "Garden salad mix with extras",
    "SMOKED/COOKED": "Smoked sausage",
    "PREMIUM - MEAT": "Premium hot dogs",
    "ECONOMY - MEAT": "Hot dogs",
    "STICKS/ENROBED": "Ice cream bars",
    "PREMIUM PINTS": "Premium ice cream",
    "SUPER PREMIUM PINTS": "Super premium ice cream",
    "TRADITIONAL": "Traditional ice cream",
    "LINKS - RAW": "Breakfast sausage links",
    "ROLLS - PORK": "Pork sausage roll",
    "BREAST - BONELESS(IQF)": "Frozen chicken breasts",
    "ANGUS": "Angus beef",
    "CARDS EVERYDAY": "Greeting card",
    "CARDS SEASONAL": "Seasonal greeting card",
    "PIZZA/ECONOMY": "Everyday frozen pizza",
    "PIZZA/TRADITIONAL": "Frozen pizza",
    "PIZZA/PREMIUM": "Premium frozen pizza",
    "MICROWAVABLE CUPS": "Microwave soup cup",
    "REFRIG DIPS": "Chilled dip",
    "PLSTC CTLRYTBLCLTHSTTHPKSST": "Plastic tableware",
    "DAIRY CASE CITRUS PNCH/OJ SUBS": "Citrus punch",
    "DAIRY CASE FRUIT DRINKS (NO JU": "Chilled fruit drink",
    "DAIRY CASE TEA WITH SUGAR OR S": "Chilled sweet tea",
    "NON-CARB FLVRD DRNKNG/MNRL WAT": "Flavored water",
    "SOFT DRINKS 6PK/4PK CAN CARB (": "Soft drinks, small pack of cans",
    "SOFT DRINK BOTTLE NON-CARB (EX": "Still soft drink",
}
"""The best-selling types by hand; the rest by `readable`."""

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
    "CRBNTD": "carbonated", "MNERAL": "mineral", "DRNKING": "drinking", "DRD": "dried", "DSH": "dishes",
}  # fmt: skip
"""What the till abbreviates."""

_GRADES = """
PREMIUM MAINSTREAM ENHANCED BLENDS REGULAR ECONOMY SUPER VALUE SPECIALTY OTHER ALL BULK SELECT KITS CUPS CANS POULTRY
ORGANIC HISPANIC GOURMET BASIC SINGLES FRESH FROZEN WHITE RED
"""
GRADES = frozenset(_GRADES.split())
"""Types that say nothing without their category."""

_NEVER_SHOWN = """
CIGARETTES|CIGARS|TOBACCO OTHER|SMOKING CESSATIONS|BEERS/ALES|DOMESTIC WINE|IMPORTED WINE|MISC WINE|LIQUOR
COUPON|COUPON/MISC ITEMS|COUPONS/STORE & MFG|BOTTLE DEPOSITS|FUEL|PROPANE|TICKETS
LONG DISTANCE CALLING CARDS|PREPAID WIRELESS&ACCESSORIES|PHARMACY|FAMILY PLANNING|FEMININE HYGIENE
ADULT INCONTINENCE|LAXATIVES|HOME HEALTH CARE|DIETARY AID PRODUCTS|ANALGESICS|ANTACIDS|COLD AND FLU
SINUS AND ALLERGY|FIRST AID PRODUCTS|IN-STORE PHOTOFINISHING|OVERNIGHT PHOTOFINISHING|J-HOOKS|PROD SUPPLIES
DELI SUPPLIES|MEAT SUPPLIES|NEWSPAPER|MISCELLANEOUS|MISCELLANEOUS HBC|SERVICE BEVERAGE|FIREWORKS
CONTINUITIES|WATCHES/CALCULATORS/LOBBY|NON EDIBLE PRODUCTS|PARTY TRAYS|BAKERY PARTY TRAYS
"""
NEVER_SHOWN = frozenset(name for line in _NEVER_SHOWN.strip().splitlines() for name in line.split("|"))
"""Categories without a picture or page: not a shelf product, not for minors, or too telling about a person's health."""

_NOUN_FIRST = re.compile(
    r"^(APPLES|GRAPES|PEPPERS|ONIONS|POTATOES|TOMATOES|PEACHES|CARROTS|ORANGES|MUSHROOMS|PEARS|SQUASH)[: ]+([A-Z ]+)$"
)
_DRY_LAST = re.compile(r"^([A-Z& ]+?):? DRY$")
_SIZE = re.compile(r"^(\d+(?:\.\d+)?) ?(OZ|CT|ML|LB|L|GAL|GA|PT|QT|PK)\b")
_UNITS = {"GA": "gal", "L": "L"}


def readable(text: str) -> str:
    """`FRZN BREAKFAST FOODS` -> `Frozen breakfast foods`; `BREAD:ITALIAN/FRENCH` -> `Bread: Italian/French`."""
    text = re.sub(r"\([^)]*\)?", " ", text)
    text = _NOUN_FIRST.sub(r"\2 \1", text.strip())
    text = _DRY_LAST.sub(r"DRY \1", text)
    text = re.sub(r"\s*:\s*", ": ", re.sub(r"\s*&\s*", " & ", text))
    text = re.sub(r"[A-Z]+", lambda word: WORDS.get(word.group(), word.group().lower()), text)
    text = re.sub(r"\s+", " ", text.replace("&", "and")).strip(" -/:,")
    text = re.sub(r"\b(italian|french|mexican|asian|swiss|american|danish|irish)\b", _capital, text)
    return text[:1].upper() + text[1:]


def _capital(word: re.Match[str]) -> str:
    return word.group().capitalize()


def name(category: str | None, product_type: str | None) -> str:
    """The printed name of a product of this category and type, without its size."""
    if not product_type:
        return readable(category) if category else "Assorted item"
    if product_type in NAMES:
        return NAMES[product_type]
    if category and product_type in GRADES:
        return f"{readable(category)}: {readable(product_type).lower()}"
    return readable(product_type) or "Assorted item"


def size(text: str | None) -> str | None:
    """`16 OZ` -> `16 oz`; None where the package's size is not one a person would print."""
    found = _SIZE.match(text or "")
    return f"{found[1]} {_UNITS.get(found[2], found[2].lower())}" if found else None


def each(function: Callable[..., str | None], *columns: list[str | None]) -> list[str | None]:
    """The function over columns, worked out once for each distinct row."""
    known: dict[tuple[str | None, ...], str | None] = {}
    return [known[row] if row in known else known.setdefault(row, function(*row)) for row in zip(*columns, strict=True)]
