"""The people of the sample data. Every one of them is made up: the package has households and purchases, and no person.

Names come from a list, e-mails are at example.com, phones in 555-01xx (both reserved for examples), push endpoints at
push.example.com. A few rows are wrong on purpose, as in any real table: missing or malformed addresses and zones,
consent that is not known, two contacts with one address. All of it was known before the year of purchases began.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from numpy.typing import NDArray

from local.seed import Ids, choose, digest, draw, where, whole

EMAIL_DOMAIN = "example.com"
PUSH_HOST = "push.example.com"
KNOWN_BY = np.datetime64("2016-12-31T00:00:00", "s")
"""No contact was made or changed after this: whoever honours `updated_at` sees all of them on every day of 2017."""
PAIRS = 16
"""Pairs of contacts that share an address: 8 an e-mail, 5 a phone, 3 both."""
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

_FIRST_NAMES = """
Ada Alice Amelia Amir Ana Andre Anita Anna Antonio Aria Arjun Beatrice Ben Bianca Brandon Bruno Camila Carl Carmen
Chloe Claire Clara Connor Dana Daniel Darius David Deborah Diana Diego Dmitri Dolores Edith Eduardo Elena Eli Ella
Emma Eric Esther Ethan Eva Farah Felix Fiona Frank Gabriel George Gloria Grace Greg Hannah Harold Hassan Helen Henry
Hugo Ines Irene Isaac Isabel Ivan Jack Jamal James Jasmine Javier Jenna Joel Jonah Jose Josephine Julia Karen Keiko
Kevin Khalil Kim Kofi Laila Laura Leah Leo Liam Linda Lucas Lucia Luis Lydia Malik Marco Maria Martha Mateo Maya Mei
Miguel Mina Miriam Monica Nadia Naomi Nathan Nia Nina Noah Nora Oliver Olivia Omar Oscar Pablo Patricia Paul Peter
Priya Quinn Rachel Rafael Raj Rebecca Renee Rosa Ruby Ruth Samir Samuel Sara Sean Sofia Stella Susan Tara Teresa
Thomas Tomas Uma Valerie Vera Victor Vincent Wendy Will Xavier Yara Yusuf Zoe Álvaro Chloé Jürgen Zoë
"""
FIRST_NAMES = tuple(_FIRST_NAMES.split())

REGIONS: tuple[tuple[str, str, int, tuple[int, ...]], ...] = (
    ("NY", "America/New_York", 34, (212, 315, 347, 516, 518, 585, 607, 631, 646, 716, 718, 845, 914, 917, 929)),
    ("NJ", "America/New_York", 9, (201, 609, 732, 908)),
    ("PA", "America/New_York", 8, (215, 412, 610)),
    ("MA", "America/New_York", 7, (413, 508, 617)),
    ("CT", "America/New_York", 4, (203, 860)),
    ("FL", "America/New_York", 6, (305, 407, 813)),
    ("OH", "America/New_York", 6, (216, 513, 614)),
    ("IL", "America/Chicago", 7, (312, 630, 773)),
    ("TX", "America/Chicago", 5, (214, 512, 713)),
    ("CO", "America/Denver", 4, (303, 720)),
    ("CA", "America/Los_Angeles", 6, (213, 415, 619)),
    ("AZ", "America/Phoenix", 2, (480, 602)),
    ("HI", "Pacific/Honolulu", 2, (808,)),
)
"""State, zone, share, area codes. A hundred numbers (555-0100 to 555-0199) fit one area code."""

Column = NDArray[Any]


def contacts(households: Ids, lapsed: Ids) -> pd.DataFrame:
    """One row per household: `raw.contacts`, ids as text.

    `lapsed`: households that were quiet for a month around the days the demo shows; half of the pairs that share an
    address begin with one of them, so that the sharing matters on those days.
    """
    place = choose("region", households, range(len(REGIONS)), [share for _, _, share, _ in REGIONS]).astype(int)
    first = choose("first_name", households, FIRST_NAMES)
    created = KNOWN_BY - np.timedelta64(1, "D") - whole("created", households, 0, 900 * 86400).astype("timedelta64[s]")
    changed = created + ((KNOWN_BY - created) * draw("changed", households) ** 2).astype("timedelta64[s]")
    frame = pd.DataFrame(
        {
            "contact_id": households.astype(str).astype(object),
            "email": _emails(households, first),
            "phone": _phones(households, place),
            "first_name": where(draw("no_name", households) < 0.05, None, first),
            "country": "US",
            "region": where(draw("no_region", households) < 0.03, None, [REGIONS[i][0] for i in place]),
            "timezone": _zones(households, place),
            "locale": choose("locale", households, ["en-US", "es-US", None], [88, 8, 4]),
        }
    )
    frame = _share_addresses(frame, households, lapsed)
    for channel, share in (("email", 0.85), ("sms", 0.45)):
        frame = frame.assign(**_consent(channel, share, households, created, changed))
    return frame.assign(created_at=created, updated_at=changed)


def usable_email(email: pd.Series) -> pd.Series:
    """Whether each e-mail could be written to: the loader's own check, for the mail it makes up."""
    usable: pd.Series = (
        email.str.strip().str.fullmatch(r"[^@\s]+@[^@\s]+\.[a-z]+", case=False).fillna(False).astype(bool)
    )
    return usable


def _emails(households: Ids, first: Column) -> Column:
    names = pd.Series(first).str.normalize("NFKD").str.encode("ascii", "ignore").str.decode("ascii").str.lower()
    local = (names + "." + pd.Series(households.astype(str))).to_numpy(dtype=object)
    fate = draw("email", households)
    addresses = local + f"@{EMAIL_DOMAIN}"
    addresses = where(fate < 0.03, " " + pd.Series(addresses).str.title().to_numpy(dtype=object) + " ", addresses)
    malformed = choose("malformed_email", households, ["{}.example.com", "{}@", "{} @example.com", "{}@@example.com"])
    wrong = np.array([form.format(name) for form, name in zip(malformed, local, strict=True)], dtype=object)
    return where(fate > 0.96, None, where(fate > 0.95, wrong, addresses))


def _phones(households: Ids, place: NDArray[np.int64]) -> Column:
    position = pd.Series(place).groupby(place).cumcount().to_numpy()
    codes = [REGIONS[i][3] for i in place]
    numbers = np.array(
        [f"+1{areas[n // 100 % len(areas)]}55501{n % 100:02d}" for areas, n in zip(codes, position, strict=True)],
        dtype=object,
    )
    full = position >= np.array([100 * len(areas) for areas in codes])
    fate = draw("phone", households)
    wrong = np.array([f"{number[2:5]}-555-{number[-4:]}" for number in numbers], dtype=object)
    return where((fate > 0.80) | full, None, where(fate > 0.79, wrong, numbers))


def _zones(households: Ids, place: NDArray[np.int64]) -> Column:
    fate = draw("timezone", households)
    wrong = choose("malformed_zone", households, ["Eastern Time (US)", "America/Springfield", "NYC", "GMT minus 5"])
    zones = np.array([REGIONS[i][1] for i in place], dtype=object)
    return where(fate < 0.04, None, where(fate < 0.05, wrong, zones))


def _consent(channel: str, share: float, households: Ids, created: Column, changed: Column) -> dict[str, Column]:
    fate = draw(f"consent_{channel}", households)
    given = where(fate < share, True, where(fate < 0.97, False, None))
    at = created + ((changed - created) * draw(f"consent_{channel}_at", households)).astype("timedelta64[s]")
    known = (fate < share) & (draw(f"consent_{channel}_evidence", households) < 0.97)
    sources = choose(f"consent_{channel}_source", households, ["checkout", "account page", "newsletter form", "store"])
    version = choose(f"consent_{channel}_text", households, [f"{channel}-2014-06", f"{channel}-2016-02"], [1, 2])
    return {
        f"consent_{channel}": given,
        f"consent_{channel}_at": where(known, at, np.datetime64("NaT")),
        f"consent_{channel}_source": where(known, sources, None),
        f"consent_{channel}_text_version": where(known, version, None),
    }


def _share_addresses(frame: pd.DataFrame, households: Ids, lapsed: Ids) -> pd.DataFrame:
    """Gives `PAIRS` contacts the address of another one, some of them spelt differently."""
    whole_row = (usable_email(frame["email"]) & frame["phone"].str.startswith("+1", na=False)).to_numpy()
    order = np.argsort(draw("pair", households), kind="stable")
    order = order[whole_row[order]]
    is_lapsed = np.isin(households[order], lapsed)
    first = np.concatenate([order[is_lapsed][: PAIRS // 2], order[~is_lapsed][: PAIRS // 2]])
    second = order[~is_lapsed][PAIRS // 2 : PAIRS // 2 + len(first)]
    email, phone = frame["email"].to_numpy(dtype=object).copy(), frame["phone"].to_numpy(dtype=object).copy()
    for n, (one, other) in enumerate(zip(first, second, strict=True)):
        kind = n % PAIRS
        if kind % 2 == 0 or kind in (3, 7, 11):
            email[other] = email[one].upper() if kind % 4 == 0 else email[one]
        if kind % 2 == 1:
            phone[other] = phone[one]
    return frame.assign(email=email, phone=phone)


def push_subscriptions(households: Ids) -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    """`raw.web_push_subscriptions`, and the browsers' private keys by endpoint, which the local sandbox plays."""
    rows: list[dict[str, Any]] = []
    keys: dict[str, dict[str, str]] = {}
    browsers = choose("browsers", households, [0, 1, 2], [70, 24, 6])
    begins = np.datetime64("2016-01-04T12:00:00", "s")
    for household, count in zip(households.tolist(), browsers, strict=True):
        for number in range(count):
            endpoint = f"https://{PUSH_HOST}/{digest('endpoint', household, number).hex()[:32]}"
            private = 1 + int.from_bytes(digest("push key", household, number), "big") % (_P256_ORDER - 1)
            point = ec.derive_private_key(private, ec.SECP256R1()).public_key()
            auth = _base64url(digest("push auth", household, number)[:16])
            seconds = int.from_bytes(digest("subscribed", household, number)[:4], "big") % (600 * 86400)
            rows.append(
                {
                    "endpoint": endpoint,
                    "contact_id": str(household),
                    "p256dh": _base64url(point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
                    "auth": auth,
                    "subscribed_at": begins + np.timedelta64(seconds, "s"),
                }
            )
            keys[endpoint] = {"private_key": _base64url(private.to_bytes(32, "big")), "auth": auth}
    return pd.DataFrame(rows), keys


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
