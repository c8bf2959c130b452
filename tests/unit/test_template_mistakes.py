"""What a mistake in a template gets: its file, line and what was expected, before anything is decided or sent."""

from __future__ import annotations

import pytest

from tests.unit.campaign_folder import Folder

MAIL = "we_miss_you/email.mjml"
COUPON = "_shared/coupon.mjml"
FOOTER = "_shared/footer.mjml"
HEAD = "_shared/head.mjml"
PLAIN = "we_miss_you/email.txt"
TEXT = "discount10/sms.txt"
PUSH = "bestsellers/push.yml"


MISTAKES = [
    (MAIL, "<mj-text css-class", "<mj-txt css-class", "<mj-txt>: is no MJML tag. Did you mean 'mj-text'?"),
    (
        COUPON,
        'mj-class="small" padding=',
        'mj-class="small" paddin=',
        "is no attribute of <mj-text>. Did you mean 'padding'?",
    ),
    (FOOTER, "  </mj-column>\n", "", "<mj-column>: is not closed before </mj-section>"),
    (MAIL, "<mj-button css", "<mj-section><mj-button css", "<mj-section>: cannot stand in <mj-column>"),
    (MAIL, "Hi {{ first_name }},", "<mj-image />", "<mj-image>: cannot stand in <mj-text>"),
    (
        MAIL,
        "Hi {{ first_name }},",
        "Hi {{ frist_name }},",
        "{{ frist_name }}: is no variable. Did you mean 'first_name'?",
    ),
    (MAIL, "Hi {{ first_name }},", "Hi {{ first_name | upper }},", "templates hold no logic and no filters"),
    (MAIL, "Hi {{ first_name }},", "{% if vip %}Hi{% endif %}", "templates hold no logic and no filters"),
    (MAIL, "{{ first_name }}", "{{{ first_name }}}", "found '{{{ first_name }}},"),
    (MAIL, "{{ first_name }}", "{ first_name }", "found '{ first_name },"),
    (PLAIN, "{{ first_name }}", "{{{ first_name }}}", "found '{{{ first_name }}},"),
    (PLAIN, "Hi ", "Hi } ", "and no other brace"),
    (TEXT, "{{ brand }}", "{{ brand }} {% now %}", "templates hold no logic and no filters"),
    (PUSH, "See what everyone", "See { what } everyone", "and no other brace"),
    (HEAD, ".quiet a { ", ".quiet a {{ ", "and no other brace"),
    (MAIL, "Hi {{ first_name }},", "{{ coupon_code }}", "needs a promotion, which step 'day30' does not have"),
    (MAIL, "Hi {{ first_name }},", "{{ rec4_name }}", "needs `recommendations: 4` or more; step 'day30' has 3"),
    (MAIL, 'href="{{ step_url }}"', "", "<mj-button>: has no href"),
    (MAIL, 'href="{{ step_url }}"', 'href="{{ shop_name }}"', "{{ shop_name }} is not an address"),
    (MAIL, 'href="{{ step_url }}"', 'href="{{ step_url }}&amp;x=1"', "expected one variable such as {{ step_url }}"),
    (MAIL, 'href="{{ step_url }}"', 'href="http://shop.example.com"', "or an https:// address of shop.example.com"),
    (MAIL, 'href="{{ step_url }}"', 'href="javascript:alert(1)"', "or an https:// address of shop.example.com"),
    (
        MAIL,
        'href="{{ step_url }}"',
        'href="https://evil.example.net/"',
        "does not lead to the shop's domain shop.example.com",
    ),
    (MAIL, 'src="{{ rec1_image_url }}"', 'src="{{ rec1_url }}"', "expected one variable such as {{ rec1_image_url }}"),
    (MAIL, 'alt="{{ rec1_name }}"', "", "needs src and alt"),
    (
        MAIL,
        'css-class="title text"',
        'css-class="{{ shop_name }}"',
        "a variable can stand in href, src, alt and title only",
    ),
    (MAIL, "Hi {{ first_name }},", "<img src='https://cdn.example.net/a.png'>", "<img>: has no alt"),
    (MAIL, "Hi {{ first_name }},", "<script>1</script>", "inboxes run no scripts"),
    (MAIL, "../_shared/footer.mjml", "../_shared/foter.mjml", "there is no file '../_shared/foter.mjml'"),
    (MAIL, "../_shared/footer.mjml", "../../../outside.mjml", "there is no file '../../../outside.mjml'"),
    (MAIL, "<mj-preview>", "<mj-title>", "is not closed before"),
    (FOOTER, "{{ unsubscribe_url }}", "{{ preferences_url }}", "{{ unsubscribe_url }}: is missing"),
    (FOOTER, "{{ postal_address }}", "", "{{ postal_address }}: is missing"),
    (PLAIN, "{{ unsubscribe_url }}", "", "{{ unsubscribe_url }}: is missing"),
    (PLAIN, "{{ postal_address }}", "", "{{ postal_address }}: is missing"),
    (PLAIN, "{{ rec2_url }}", "", "{{ rec2_url }}: is in email.mjml and not here; both say the same"),
    (PLAIN, "Hi {{ first_name }},", "See http://elsewhere.example.net", "or an https:// address of shop.example.com"),
    ("we_miss_you/subject.txt", "We have", "One\nWe have", "expected one line of at most 150 characters"),
    (TEXT, "{{ sms_opt_out }}", "", "{{ sms_opt_out }}: is missing: a text says how to opt out"),
    (TEXT, "{{ brand }}", "", "{{ brand }}: is missing: a text says whom it is from"),
    (TEXT, "{{ coupon_code }}", "{{ cupon_code }}", "is no variable. Did you mean 'coupon_code'?"),
    (PUSH, "title:", "titel:", "titel: unknown key. Did you mean 'title'?"),
    (PUSH, "{{ step_url }}", "{{ shop_name }}", "url: {{ shop_name }} is not an address"),
    (PUSH, "icon:", "icon: ftp://x", "icon: expected an https:// address"),
    (PUSH, "See what everyone", "See {{ everyone }}", "{{ everyone }}: is no variable"),
    (PUSH, "See what everyone", "{{ everyone }}", 'A value that begins with {{ needs quotes: "{{ name }}".'),
    (PUSH, '"{{ step_url }}"', "{{ step_url }}", "url: expected url as text of at most 400 characters, in quotes"),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "words"), MISTAKES, ids=lambda value: str(value).strip()[:30] or "removed"
)
def test_a_mistake_is_told_with_file_and_line(folder: Folder, name: str, old: str, new: str, words: str) -> None:
    folder.change(folder.template(name), old, new)
    told = folder.told(words)
    assert "/templates/" in told


@pytest.mark.parametrize(
    ("name", "stray"), [(MAIL, "{ first_name }"), (PLAIN, "{{{ first_name }}}"), (TEXT, "{% x %}")]
)
def test_a_stray_brace_is_told_with_its_line(folder: Folder, name: str, stray: str) -> None:
    variable = "{{ brand }}" if name == TEXT else "{{ first_name }}"
    line = folder.change(folder.template(name), variable, f"{variable} {stray}")
    assert f"{name}, line {line}: found " in folder.refusal()


def test_the_braces_of_a_style_sheet_are_its_own(folder: Folder) -> None:
    folder.change(folder.template(HEAD), ".quiet a { ", "@media print{.quiet a{color:#000}}\n  .quiet a { ")
    folder.load()


def test_a_misspelt_closing_tag_is_the_only_mistake_told(folder: Folder) -> None:
    line = folder.change(folder.template(MAIL), "</mj-text>", "</mj-txt>")
    refusal = folder.refusal()
    assert f"line {line}, </mj-txt>: closes a tag that is not open here. Did you mean 'mj-text'?" in refusal
    assert "have one mistake" in refusal


def test_an_unknown_variable_is_told_with_its_line(folder: Folder) -> None:
    line = folder.change(folder.template(FOOTER), "{{ postal_address }}", "{{ postal_address }} {{ postal_adress }}")
    assert f"_shared/footer.mjml, line {line}, {{{{ postal_adress }}}}:" in folder.refusal()


def test_a_missing_file_names_the_step_and_the_channel(folder: Folder) -> None:
    folder.template("discount10/sms.txt").rename(folder.template("discount10/smss.txt"))
    refusal = folder.refusal()
    assert "discount10/sms.txt, the file: is missing; step 'day60' speaks through sms" in refusal
    assert "smss.txt, the file: is none of a template's files. Did you mean 'sms.txt'?" in refusal


def test_a_mail_that_inboxes_would_clip_is_refused(folder: Folder) -> None:
    folder.change(folder.template(MAIL), "Thank you for shopping with us.", "Thank you. " * 8000)
    assert "KB of HTML. Inboxes clip a mail at 102 KB" in folder.refusal()


def test_includes_that_include_themselves_are_refused(folder: Folder) -> None:
    footer = folder.template(FOOTER)
    footer.write_text(footer.read_text() + '<mj-include path="footer.mjml" />\n')
    assert "files include each other more than 5 deep" in folder.refusal()


def test_purchase_words_need_a_purchase_clock(folder: Folder) -> None:
    other = folder.add_reactivation()
    folder.change(other.parent / "templates/still_here/email.mjml", "{{ days_away }}", "{{ last_purchase_on }}")
    assert "needs the clock last_purchase, which step 'first_email' does not have" in folder.refusal()
