"""Filling templates: nothing but placeholders, no hole, nothing that breaks out of its place."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from senders.contract import Rejected
from senders.render import Unfilled, render_html, render_text, variables

FIELDS = {"first_name": "Ann", "step_url": "https://shop.example.com/?a=1&b=2"}


def test_text_is_filled_as_it_is() -> None:
    assert render_text("Hi {{ first_name }}: {{step_url}}", FIELDS) == f"Hi Ann: {FIELDS['step_url']}"


def test_html_is_filled_escaped() -> None:
    assert render_html('<a href="{{ step_url }}">', FIELDS) == '<a href="https://shop.example.com/?a=1&amp;b=2">'


@pytest.mark.parametrize("fields", [{}, {"first_name": ""}, {"first_name": " \n"}, {"first_name": None}])
@pytest.mark.parametrize("render", [render_text, render_html])
def test_a_missing_or_blank_value_is_refused_by_name(render, fields) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unfilled, match="first_name") as refused:
        render("Hi {{ first_name }}", fields)
    assert refused.value.variable == "first_name"
    assert refused.value.code == "unfilled_variable"


@pytest.mark.parametrize("source", ["{{ first_name | upper }}", "{{#if x}}", "{{ }}", "{{first_name", "{{ a.b }}"])
def test_what_is_no_placeholder_is_refused(source: str) -> None:
    with pytest.raises(Rejected, match=r"not of the form"):
        render_text(source, FIELDS)


def test_braces_of_style_sheets_are_left_alone() -> None:
    style = "@media (min-width:480px){.a{width:50%}}"
    assert render_html(style, {}) == style


def test_variables_are_named_once_in_the_order_of_their_use() -> None:
    assert variables("{{ b }} {{a}} {{ b }}") == ("b", "a")


@given(st.text(min_size=1).filter(str.strip))
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    assert render_text("<{{ a }}>", {"a": value, "b": "secret"}) == f"<{value}>"
    assert render_text("{{ a }}", {"a": "{{ b }}", "b": "secret"}) == "{{ b }}"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1).filter(str.strip))
def test_a_value_can_not_leave_its_attribute_or_its_tag(value: str) -> None:
    seen: list[tuple[str, object]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, attrs))

    reader = Reader()
    reader.feed(render_html('<p title="{{ a }}">{{ a }}</p>', {"a": value}))
    reader.close()
    assert seen == [("p", [("title", value)])]


@pytest.mark.parametrize("value", ['x" onload="alert(1)', "x' y='z", "<script>", "</p><p>"])
def test_a_quote_or_a_bracket_stays_what_it_is(value: str) -> None:
    rendered = render_html("<p title=\"{{ a }}\" lang='{{ a }}'>{{ a }}</p>", {"a": value})
    assert rendered.count("<") == 2
    assert rendered.count('"') == 2
    assert rendered.count("'") == 2
