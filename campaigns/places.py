"""Countries and regions that may have hours of their own (ISO 3166), and what law leaves of a day to texts.

The same codes are in `outbox.country_zone` and `outbox.region`, where hours are decided; a test holds them together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BW BY BZ CA CC
CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB
GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG
KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU
MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW
SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA
UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""
COUNTRIES = frozenset(_COUNTRIES.split())
"""ISO 3166-1, two letters, as far as somebody lives there: those with a time zone."""

REGIONS: Mapping[str, frozenset[str]] = {
    country: frozenset(f"{country}-{part}" for part in listed.split())
    for country, listed in {
        "AU": "ACT NSW NT QLD SA TAS VIC WA",
        "CA": "AB BC MB NB NL NS NT NU ON PE QC SK YT",
        "US": (
            "AK AL AR AS AZ CA CO CT DC DE FL GA GU HI IA ID IL IN KS KY LA MA MD ME MI MN MO MP MS MT NC ND NE NH NJ "
            "NM NV NY OH OK OR PA PR RI SC SD TN TX UM UT VA VI VT WA WI WV WY"
        ),
    }.items()
}
"""ISO 3166-2 of the federations whose states make such rules. Any well-formed code will do for the other countries."""


class Frame(NamedTuple):
    """The widest hours that law allows in a place, and which law."""

    opens: str
    closes: str
    law: str


FRAMES: Mapping[str, Frame] = {
    "US": Frame("08:00", "21:00", "47 CFR 64.1200(c)(1)"),
    "US-CT": Frame("09:00", "20:00", "Conn. Gen. Stat. 42-288a"),
    "US-FL": Frame("08:00", "20:00", "Fla. Stat. 501.616(6)"),
    "US-MD": Frame("08:00", "20:00", "Md. Code, Com. Law 14-4502"),
    "US-OK": Frame("08:00", "20:00", "15 Okla. Stat. 775C.4"),
    "US-WA": Frame("08:00", "20:00", "RCW 19.158.040(2)"),
}
"""For texts. Not all laws there are: hours of every day of the week, in places whose law means texts, too."""


def country_of(place: str) -> str:
    """`US` of `US-FL` and of `US`."""
    return place.partition("-")[0]


def mistake(place: str) -> str:
    """What is wrong with a code, in words; empty where nothing is."""
    if not re.fullmatch(r"[A-Z]{2}(-[A-Z0-9]{1,3})?", place):
        return "expected a country such as US, or a region of one such as US-FL (ISO 3166), in capital letters."
    country = country_of(place)
    if country not in COUNTRIES:
        return f"there is no country {country!r}. Expected two letters of ISO 3166 such as US, GB or DE."
    if place != country and place not in REGIONS.get(country, {place}):
        known = ", ".join(sorted(REGIONS[country]))
        return f"there is no such region of {country} (ISO 3166-2). Known: {known}."
    return ""
