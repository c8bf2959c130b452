"""Hours by country and region in a campaign file: what becomes of them, and what a mistake in them gets."""

from __future__ import annotations

import pytest

from campaigns.places import COUNTRIES, FRAMES, REGIONS, mistake
from tests.unit.campaign_folder import Folder

SMS = '  sms: ["09:00", "20:00"]\n'


def places(folder: Folder, *lines: str) -> None:
    """Puts `hours.places` into the campaign file."""
    folder.change(folder.winback, SMS, SMS + "  places:\n" + "".join(f"    {line}\n" for line in lines))


def test_hours_of_a_place_go_into_the_definition_and_only_those_that_were_given(folder: Folder) -> None:
    places(folder, 'FR: {sms: ["10:00", "20:00"], webpush: ["10:00", "19:30"]}', 'US-FL: {sms: ["08:00", "20:00"]}')
    hours = folder.load().campaigns["winback"].document()["hours"]
    assert hours == {
        "email": ["08:00", "20:00"],
        "sms": ["09:00", "20:00"],
        "webpush": ["09:00", "20:00"],
        "places": {
            "FR": {"sms": ["10:00", "20:00"], "webpush": ["10:00", "19:30"]},
            "US-FL": {"sms": ["08:00", "20:00"]},
        },
    }


def test_a_file_without_places_keeps_its_hash(folder: Folder) -> None:
    before = folder.load().hash
    places(folder)
    assert folder.load().hash == before


def test_norway_is_a_country_and_no_answer_to_a_question(folder: Folder) -> None:
    places(folder, 'NO: {sms: ["10:00", "19:00"]}')
    assert set(folder.load().campaigns["winback"].document()["hours"]["places"]) == {"NO"}


@pytest.mark.parametrize(
    ("line", "key", "words"),
    [
        ('USA: {sms: ["10:00", "19:00"]}', "hours.places.USA", "expected a country such as US, or a region of one"),
        ('us-fl: {sms: ["10:00", "19:00"]}', "hours.places.us-fl", "in capital letters"),
        ('UK: {sms: ["10:00", "19:00"]}', "hours.places.UK", "there is no country 'UK'"),
        ('US-FA: {sms: ["10:00", "19:00"]}', "hours.places.US-FA", "there is no such region of US (ISO 3166-2)"),
        ('FR: {sms: ["10:00", "25:00"]}', "hours.places.FR.sms[1]", 'from "00:00" to "23:59"; found \'25:00\''),
        ('FR: {sms: ["20:00", "10:00"]}', "hours.places.FR.sms", "expected the earlier hour first"),
        ('FR: {sms: ["10:00"]}', "hours.places.FR.sms[1]", 'two hours such as ["09:00", "20:00"]'),
        ('FR: {smss: ["10:00", "19:00"]}', "hours.places.FR.smss", "unknown key. Did you mean 'sms'?"),
        ("FR:", "hours.places.FR", "expected hours of a channel below it"),
        ("FR: nine to five", "hours.places.FR", "expected keys below it, found 'nine to five'"),
        ('FR: {sms: ["09:00", "10:00"]}', "hours.places.FR.sms", "send_at is 10:00, outside 09:00 to 10:00"),
        (
            'US-FL: {sms: ["09:00", "21:00"]}',
            "hours.places.US-FL.sms",
            "09:00 to 21:00 is wider than law allows texts in US-FL (08:00 to 20:00, Fla. Stat. 501.616(6)). Narrow",
        ),
        ('US: {sms: ["07:30", "19:00"]}', "hours.places.US.sms", "wider than law allows texts in US (08:00 to 21:00,"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_key(folder: Folder, line: str, key: str, words: str) -> None:
    places(folder, 'DE: {sms: ["10:00", "19:00"]}', line)
    told = folder.told(words)
    number = folder.winback.read_text().splitlines().index(f"    {line}") + 1
    assert f"winback.yml, line {number}, {key}: " in told


def test_a_misspelt_places_is_guessed(folder: Folder) -> None:
    folder.change(folder.winback, SMS, SMS + '  place:\n    FR: {sms: ["10:00", "19:00"]}\n')
    assert "hours.place: unknown key. Did you mean 'places'?" in folder.refusal()


def test_a_place_may_open_after_the_send_hour_for_its_messages_wait(folder: Folder) -> None:
    places(folder, 'FR: {sms: ["11:00", "19:00"]}')
    folder.load()


def test_places_that_never_agree_leave_no_hour_for_whoever_lives_nobody_knows_where(folder: Folder) -> None:
    places(folder, 'FR: {sms: ["10:00", "12:00"]}', 'IT: {sms: ["12:00", "19:00"]}')
    assert "hours.places: no hour of sms suits all of them" in folder.refusal()


def test_texts_keep_to_the_law_of_every_place_we_know_named_or_not(folder: Folder) -> None:
    folder.change(folder.winback, SMS, '  sms: ["08:00", "21:00"]\n')
    told = folder.told("wider than law allows texts in US-CT (09:00 to 20:00")
    assert ", hours.sms: 08:00 to 21:00 is" in told
    assert "US-FL (08:00 to 20:00, Fla. Stat. 501.616(6))" in told
    assert "US (" not in told  # 8 to 21 is the federal rule itself
    assert "or give them hours of their own below hours.places" in told


def test_hours_of_the_country_are_those_of_its_regions(folder: Folder) -> None:
    folder.change(folder.winback, SMS, '  sms: ["08:00", "21:30"]\n  places:\n    US: {sms: ["09:00", "20:00"]}\n')
    folder.load()


def test_hours_of_e_mail_are_nobodys_law(folder: Folder) -> None:
    folder.change(folder.winback, 'email: ["08:00", "20:00"]', 'email: ["06:00", "23:00"]')
    places(folder, 'US-FL: {email: ["05:00", "23:30"]}')
    folder.load()


def test_every_place_with_a_law_is_a_place() -> None:
    assert [place for place in FRAMES if mistake(place)] == []
    assert set(REGIONS) <= COUNTRIES
