"""What the shipped templates compile to, and what they look like filled."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from campaigns import preview
from campaigns.definition import Campaign
from campaigns.preview import Filled, Page, Person, nobody
from campaigns.variables import PLACEHOLDER
from tests.unit import campaign_folder

EMAILS = ("day30", "day60", "day90")


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return campaign_folder.copy(tmp_path_factory.mktemp("shipped")).load().campaigns["winback"]


SAMPLE = nobody("sample values")


def filled(campaign: Campaign, key: str, person: Person = SAMPLE) -> Filled:
    step = next(found for found in campaign.document()["steps"] if found["key"] == key)
    return preview.fill(campaign.templates[step["template_hash"]], step, person)


class Tags(HTMLParser):
    """Collects tags with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_what_is_compiled_holds_plain_html_and_placeholders_alone(campaign: Campaign) -> None:
    for template in campaign.templates.values():
        html = template.html or ""
        assert "<mj-" not in html
        assert not re.search(r"\{\{|\{%", PLACEHOLDER.sub("", html))
        assert "fonts.googleapis.com" not in html


@pytest.mark.parametrize("key", EMAILS)
def test_every_picture_has_words_and_every_link_an_address(campaign: Campaign, key: str) -> None:
    tags = Tags(filled(campaign, key).html or "").found
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    links = [attributes.get("href") or "" for tag, attributes in tags if tag == "a"]
    assert len(links) >= 4
    assert all(link.startswith("https://shop.example.com") for link in links)


@pytest.mark.parametrize("key", EMAILS)
def test_a_mail_has_a_language_a_dark_side_and_a_line_beside_its_subject(campaign: Campaign, key: str) -> None:
    shown = filled(campaign, key)
    assert '<html lang="en"' in (shown.html or "")
    assert "prefers-color-scheme: dark" in (shown.html or "")
    assert 20 < len(shown.preheader or "") < 110
    assert 5 < len(shown.subject or "") <= 60


@pytest.mark.parametrize("key", EMAILS)
def test_a_mail_has_one_call_to_action_and_an_easy_way_out(campaign: Campaign, key: str) -> None:
    shown = filled(campaign, key)
    assert len(re.findall(r'<td[^>]*bgcolor="#24533d"', shown.html or "")) == 1
    for part in (shown.html or "", shown.text or ""):
        assert "/unsubscribe/" in part
        assert "/preferences/" in part
        assert "12 Mill Lane" in part


def test_the_first_mail_names_the_last_purchase_and_offers_no_discount(campaign: Campaign) -> None:
    shown = filled(campaign, "day30")
    assert "September 1" in (shown.html or "")
    assert "September 1" in (shown.text or "")
    assert "%" not in (shown.text or "")
    assert " off " not in (shown.text or "")


@pytest.mark.parametrize(
    ("key", "offer"), [("day60", "10% off your next order"), ("day90", "20% off and free shipping")]
)
def test_a_coupon_mail_says_the_offer_the_code_and_until_when_in_both_parts(
    campaign: Campaign, key: str, offer: str
) -> None:
    shown = filled(campaign, key)
    for part in (shown.html or "", shown.text or ""):
        assert offer in part
        assert "WELCOME-7F3K9" in part
        assert "November 14" in part


def test_the_text_costs_one_segment_and_says_who_what_where_and_how_to_stop(campaign: Campaign) -> None:
    shown = filled(campaign, "day60")
    assert shown.cost is not None
    assert (shown.cost.encoding, shown.cost.segments) == ("GSM-7", 1)
    for words in ("Riverside Market", "WELCOME-7F3K9", "https://shop.example.com", "Reply STOP to opt out"):
        assert words in (shown.sms or "")


def test_a_long_name_and_a_long_code_still_fit_two_segments(campaign: Campaign) -> None:
    person = Person("1", "test", {"coupon_code": "WINBACK10-ABCDEFGH-2345"}, first_name="Maximiliana-Alexandrina")
    cost = filled(campaign, "day60", person).cost
    assert cost is not None
    assert cost.segments <= 2


def test_a_name_is_escaped_in_html_and_plain_in_text(campaign: Campaign) -> None:
    person = Person("1", "test", {}, first_name="<b>O'Neil & Söhne</b>")
    shown = filled(campaign, "day30", person)
    assert "<b>O'Neil" not in (shown.html or "")
    assert "&lt;b&gt;O&#x27;Neil &amp; Söhne&lt;/b&gt;" in (shown.html or "")
    assert "Hi <b>O'Neil & Söhne</b>," in (shown.text or "")


def test_a_contact_without_a_name_is_greeted_all_the_same(campaign: Campaign) -> None:
    assert "Hi there," in (filled(campaign, "day30", Person("1", "test")).text or "")


def test_the_push_leads_to_the_bestsellers(campaign: Campaign) -> None:
    push = filled(campaign, "day30_push").push
    assert push is not None
    assert push.url.startswith("https://shop.example.com/bestsellers?utm_source=winback&utm_medium=webpush&")
    assert len(push.title) <= 50
    assert len(push.body) <= 120


def test_values_that_are_samples_are_listed(campaign: Campaign) -> None:
    assert "rec1_name" in filled(campaign, "day30").sampled
    parts = ("name", "category", "price", "image_url", "url")
    known = dict.fromkeys(("last_purchase_on", *(f"rec{n}_{part}" for n in (1, 2, 3) for part in parts)), "x")
    assert filled(campaign, "day30", Person("1", "test", known, first_name="Ann")).sampled == ()


def test_the_preview_never_empties_a_folder_that_is_not_its_own(campaign: Campaign, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(FileExistsError):
        preview.write(tmp_path, [], [])
    assert (tmp_path / "thesis.doc").read_text() == "years of work"


def test_the_preview_writes_a_page_and_each_mail_by_itself(campaign: Campaign, tmp_path: Path) -> None:
    steps = campaign.document()["steps"]
    pages = [Page(campaign, step, [filled(campaign, step["key"])]) for step in steps]
    index = preview.write(tmp_path / "preview", pages, ["A note."])
    text = index.read_text()
    assert "A note." in text
    assert "141 characters, GSM-7, 1 segment:" in text
    assert sorted(path.name for path in (tmp_path / "preview/winback").iterdir()) == [
        "day30-sample.html",
        "day60-sample.html",
        "day90-sample.html",
    ]
    preview.write(tmp_path / "preview", pages, [])
