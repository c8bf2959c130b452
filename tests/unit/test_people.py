"""The made-up people: reserved ranges, wrong on purpose where a real table is wrong, the same in every load."""

from __future__ import annotations

import base64
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import phonenumbers
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local import people, seed

HOUSEHOLDS = np.arange(1, 2501, dtype=np.uint64)
LAPSED = np.arange(5, 2500, 50, dtype=np.uint64)


@pytest.fixture(scope="module")
def contacts() -> pd.DataFrame:
    return people.contacts(HOUSEHOLDS, LAPSED)


@pytest.fixture(scope="module")
def subscriptions() -> tuple[pd.DataFrame, dict[str, dict[str, str]]]:
    return people.push_subscriptions(HOUSEHOLDS)


def test_every_email_is_at_example_com_or_malformed_or_missing(contacts: pd.DataFrame) -> None:
    email = contacts["email"].dropna()
    usable = people.usable_email(email)
    assert email[usable].str.strip().str.lower().str.endswith("@example.com").all()
    assert 0 < (~usable).sum() < len(email) * 0.03
    assert 0 < contacts["email"].isna().sum() < len(contacts) * 0.08


def test_every_phone_is_reserved_for_examples_and_valid_or_not_e164_at_all(contacts: pd.DataFrame) -> None:
    for phone in contacts["phone"].dropna():
        assert "555" in phone
        assert phone[-4:-2] == "01"
        if phone.startswith("+"):
            assert phone[5:10] == "55501", phone
            assert phonenumbers.is_valid_number(phonenumbers.parse(phone)), phone
    assert (~contacts["phone"].dropna().str.startswith("+1")).sum() > 0


def test_consents_have_the_promised_shares_and_some_are_unknown(contacts: pd.DataFrame) -> None:
    assert contacts["consent_email"].eq(True).mean() == pytest.approx(0.85, abs=0.03)
    assert contacts["consent_sms"].eq(True).mean() == pytest.approx(0.45, abs=0.03)
    assert contacts["consent_email"].isna().sum() > 0
    given = contacts["consent_email_at"].notna()
    assert contacts.loc[given, "consent_email"].eq(True).all()
    assert (contacts.loc[given, "consent_email_at"] <= contacts.loc[given, "updated_at"]).all()


def test_nothing_about_a_contact_is_newer_than_the_year_of_purchases(contacts: pd.DataFrame) -> None:
    assert (contacts["created_at"] <= contacts["updated_at"]).all()
    assert contacts["updated_at"].max() < np.datetime64("2017-01-01")


def test_some_contacts_share_an_email_and_some_a_phone(contacts: pd.DataFrame) -> None:
    spelt_alike = contacts["email"].str.strip().str.lower()
    emails = contacts[spelt_alike.duplicated(keep=False) & contacts["email"].notna()]
    phones = contacts[contacts["phone"].duplicated(keep=False) & contacts["phone"].notna()]
    assert spelt_alike[emails.index].nunique() == 11
    assert phones["phone"].nunique() == 8
    assert emails["email"].nunique() > spelt_alike[emails.index].nunique(), "none of them is spelt differently"


def test_zones_are_mostly_of_the_east_and_some_are_unknown_or_wrong(contacts: pd.DataFrame) -> None:
    shares = contacts["timezone"].value_counts(normalize=True, dropna=False)
    assert shares["America/New_York"] > 0.6
    for zone in ("America/Chicago", "America/Denver", "America/Los_Angeles", "America/Phoenix", "Pacific/Honolulu"):
        assert shares[zone] > 0
    assert contacts["timezone"].isna().any()
    assert contacts["timezone"].eq("Eastern Time (US)").any()


def test_a_push_key_is_a_p256_pair_whose_public_half_is_in_the_table(
    subscriptions: tuple[pd.DataFrame, dict[str, dict[str, str]]],
) -> None:
    rows, keys = subscriptions
    assert set(rows["endpoint"]) == set(keys)
    assert rows["endpoint"].str.startswith("https://push.example.com/").all()
    for row in rows.head(25).itertuples():
        private = int.from_bytes(_decode(keys[row.endpoint]["private_key"]), "big")
        point = ec.derive_private_key(private, ec.SECP256R1()).public_key()
        assert _decode(row.p256dh) == point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        assert keys[row.endpoint]["auth"] == row.auth
        assert len(_decode(row.auth)) == 16


def test_a_household_has_the_same_name_whoever_else_is_loaded() -> None:
    few = HOUSEHOLDS[::7]
    everybody = dict(zip(HOUSEHOLDS, seed.draw("first_name", HOUSEHOLDS), strict=True))
    assert [everybody[one] for one in few] == list(seed.draw("first_name", few))


def test_another_process_makes_up_the_same_people(contacts: pd.DataFrame) -> None:
    script = (
        "import numpy as np, hashlib; from local import people;"
        "frame = people.contacts(np.arange(1, 2501, dtype=np.uint64), np.arange(5, 2500, 50, dtype=np.uint64));"
        "print(hashlib.sha256(frame.to_csv().encode()).hexdigest())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(printed) == 1


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
