"""What a mistake in a campaign file gets: its file, line and key, what was expected, and that nothing happened."""

from __future__ import annotations

import pytest

from tests.unit.campaign_folder import Folder

MISTAKES = [
    ("holdout_percent: 10", "holdout_percnt: 10", "holdout_percnt", "unknown key. Did you mean 'holdout_percent'?"),
    ("  per_day: 1", "  per_dya: 1", "caps.per_dya", "unknown key. Did you mean 'per_day'?"),
    ("event: opened", "event: openend", "steps[1].event", "'openend' is not known. Did you mean 'opened'?"),
    ("template: bestsellers", "template: bestseler", "steps[1].template", "Did you mean 'bestsellers'?"),
    (
        "promotion: winback_discount10",
        "promotion: winback_discout10",
        "steps[2].promotion",
        "there is no promotion 'winback_discout10'. Did you mean 'winback_discount10'?",
    ),
    (
        "after_step: day30",
        "after_step: day31",
        "steps[1].after_step",
        "there is no step 'day31'. Did you mean 'day30'?",
    ),
    ("after_days: 90", "after_days: 60", "steps[3].after_days", "overlaps step 'day60' of line"),
    ("key: day90", "key: day60", "steps[3].key", "'day60' is already the key of the step on line"),
    (
        "timezone: America/New_York",
        "timezone: America/NewYork",
        "timezone",
        "found 'America/NewYork'. Did you mean 'America/New_York'?",
    ),
    ('send_at: "10:00"', 'send_at: "25:00"', "send_at", 'expected an hour of the day such as "09:00"'),
    ('send_at: "10:00"', 'send_at: "21:00"', "hours.sms", "outside 09:00 to 20:00: nothing would ever leave on time"),
    ('build_at: "05:00"', 'build_at: "11:00"', "build_at", "expected an hour before send_at (10:00)"),
    ('sms: ["09:00", "20:00"]', 'sms: ["20:00", "09:00"]', "hours.sms", "expected the earlier hour first"),
    ("holdout_percent: 10", "holdout_percent: 60", "holdout_percent", "expected at most 50, found 60"),
    ("holdout_percent: 10", 'holdout_percent: "10"', "holdout_percent", "expected a whole number, found '10'"),
    ("max_late_days: 3", "max_late_days: -1", "max_late_days", "expected at least 0, found -1"),
    ("live_from:  ", 'live_from: "soon"  ', "live_from", "expected a day such as 2026-12-01"),
    ("channels: [sms, email]", "channels: [sms, email, sms]", "steps[2].channels", "names one twice"),
    (
        "channels: [sms, email]",
        "channels: [sms, fax]",
        "steps[2].channels[1]",
        "'fax' is not known. Known: email, sms, webpush.",
    ),
    ("requires: [consent_email]", "requires: [consent_mail]", "steps[0].requires[0]", "Did you mean 'consent_email'?"),
    ("    requires: [consent_email]\n", "", "steps[0].requires", "a step that sends e-mail must require consent_email"),
    ("  reply_to: care@shop.example.com\n", "", "email.reply_to", "is missing"),
    ("  from_address: hello@shop.example.com\n", "", "email.from_address", "is missing"),
    ("  reply_to: care@shop.example.com", "  reply_to: care", "email.reply_to", "expected an e-mail address"),
    ("  brand: Riverside Market\n", "", "sms.brand", "is missing"),
    ("  opt_out: Reply STOP to opt out\n", "", "sms.opt_out", "is missing"),
    ("Reply STOP to opt out", "Write to us", "sms.opt_out", "such as 'Reply STOP to opt out'"),
    ('from_number: "+15005550006"', "from_number: 15005550006", "sms.from_number", "expected text"),
    ("mode: shadow  ", "mode: live  ", "live_from", "mode is live, so the first day to send for is needed"),
    ("mode: shadow  ", "mode: allowlist  ", "allowlist", "at least one contact id is needed"),
    ("mode: shadow  ", "mode: shdow  ", "mode", "Did you mean 'shadow'?"),
    (
        "link: /bestsellers",
        "link: https://evil.example.net/x",
        "steps[1].link",
        "does not lead to the shop's domain shop.example.com",
    ),
    ("bestsellers: /bestsellers", "bestsellers: bestsellers", "shop.bestsellers", "expected a path of the shop"),
    ("  url: https://shop.example.com", "  url: http://shop.example.com", "shop.url", "expected an https:// address"),
    ("cancelled_by: [purchase]", "cancelled_by: [activity]", "cancelled_by", "must name purchase"),
    ("    after_days: 30\n", "", "steps[0]", "expected after_days"),
    ("    wait_days: 3\n", "", "steps[1]", "is missing; a step after another one needs it"),
    ("    after_days: 60\n", "    after_days: 60\n    wait_days: 2\n", "steps[2].wait_days", "goes with after_step"),
    ("    event: opened", "    event: clicked\n    event: opened", "steps[1].event", "was already given on line"),
    ("  - key: day90", "  - key: Day 90", "steps[3].key", "expected small letters, digits and _"),
    ("    promotion: winback_discount20\n", "", "steps[3].contact_event", "coupon_assigned needs a promotion"),
    ("    after_step: day30\n", "    after_step: day30_push\n", "steps[1].after_step", "is never reached"),
    ("    channels: [webpush]", "    channels: []", "steps[1].channels", "this step would do nothing"),
    ("recommendations: 3", "recommendations: 7", "steps[0].recommendations", "expected at most 6, found 7"),
    (
        "  - key: day90",
        "  - key: day90\n    renamed_from: day60",
        "steps[3].renamed_from",
        "is still a step of its own",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "words"), MISTAKES, ids=lambda value: str(value).strip()[:34] or "removed"
)
def test_a_mistake_is_told_with_file_line_and_key(folder: Folder, old: str, new: str, key: str, words: str) -> None:
    folder.change(folder.winback, old, new)
    told = folder.told(words)
    assert "winback.yml, line " in told
    assert f", {key}" in told


def test_the_line_is_the_line_of_the_key(folder: Folder) -> None:
    line = folder.change(folder.winback, "event: opened", "event: openend")
    assert f"winback.yml, line {line}, steps[1].event:" in folder.refusal()


def test_all_mistakes_of_a_file_are_told_at_once(folder: Folder) -> None:
    folder.change(folder.winback, "holdout_percent: 10", "holdout_percent: lots")
    folder.change(folder.winback, "  reply_to: care@shop.example.com\n", "")
    folder.change(folder.winback, "promotion: winback_discount20", "promotion: winback_discount99")
    folder.change(folder.winback, "event: opened", "event: openend")
    folder.change(folder.template("discount10/email.mjml"), "{{ days_away }}", "{{ days_awy }}")
    refusal = folder.refusal()
    assert "The campaign files have 5 mistakes." in refusal
    for key in ("holdout_percent", "email.reply_to", "steps[3].promotion", "steps[1].event", "{{ days_awy }}"):
        assert key in refusal


def test_a_file_that_is_no_yaml_names_the_line(folder: Folder) -> None:
    folder.change(folder.winback, "steps:\n", "steps: [\n")
    assert "winback.yml, line " in folder.refusal()
    folder.winback.write_text("just words\n")
    assert "expected a list of keys" in folder.refusal()


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("\tmessages_per_day: 5000", "a tab stands where only spaces may"),
        ("    messages_per_day: 5000", "a line is indented differently from those that it belongs to"),
        ("  messages_per_day: 5: 000", "does a text with a colon lack its quotes"),
        ("  messages_per_day 5000", "or the line before its colon"),
        ("  messages_per_day: [5000", "a bracket is never closed, or a comma is missing"),
        ('  messages_per_day: ["09:00" "20:00"]', "a bracket is never closed, or a comma is missing"),
        ("  messages_per_day: 'We've missed you'", "a text goes on after its closing quotation mark"),
        ('  messages_per_day: "STOP" to opt out', "a text goes on after its closing quotation mark"),
        ("  messages_per_day: [Sale] now", "does a value that begins with [ or { lack its quotes"),
        ('  messages_per_day: "05:00', "a quotation mark or bracket is never closed"),
        ("  messages_per_day: @x", "needs quotes around it"),
        ("  messages_per_day: *x", "needs quotes around it"),
        ("  messages_per_day: >x", "needs quotes around it"),
        ("  messages_per_day: |x", "needs quotes around it"),
        ('  messages_per_day: "a\\q"', "a backslash within"),
        ("  messages_per_day: 5000\nand more", "neither a key with its colon nor part of a text"),
        ("  messages_per_day: \x07", "it holds a character that is no text"),
    ],
)
def test_what_the_parser_stumbles_over_is_said_in_words_of_a_person(folder: Folder, new: str, words: str) -> None:
    folder.change(folder.winback, "  messages_per_day: 5000", new)
    line = folder.winback.read_text().partition(new)[0].count("\n") + 1
    refusal = folder.refusal()
    assert "is not valid YAML" in refusal
    assert words in refusal
    if "\x07" not in new:
        assert any(
            f"winback.yml, line {line + each}: is not valid YAML, here or on the line" in refusal for each in range(3)
        )


def test_who_looks_for_the_subject_in_a_step_is_told_where_it_is(folder: Folder) -> None:
    line = folder.change(
        folder.winback, "    template: we_miss_you\n", "    template: we_miss_you\n    subject: Hello\n"
    )
    told = "steps[0].subject: is no key of a step: what it says stands in the files of its template"
    assert f"winback.yml, line {line + 1}, {told}" in folder.refusal()


def test_a_dynamic_template_of_sendgrids_belongs_to_a_step_that_sends_e_mail(folder: Folder) -> None:
    before = folder.load().campaigns["winback"]
    known = f"    template: we_miss_you\n    sendgrid_template_id: d-{'0a' * 16}\n"
    folder.change(folder.winback, "    template: we_miss_you\n", known)
    after = folder.load().campaigns["winback"]
    assert "sendgrid_template_id" not in before.body["steps"][0], "files that nobody touched keep their hash"
    assert after.body["steps"][0]["sendgrid_template_id"] == f"d-{'0a' * 16}"
    folder.change(folder.winback, f"d-{'0a' * 16}", "d-abc")
    assert "expected the id of a dynamic template of SendGrid's" in folder.refusal()


def test_a_name_that_yaml_would_cut_short_is_told_with_its_line(folder: Folder) -> None:
    line = folder.change(folder.winback, "from_name: Riverside Market", "from_name: Riverside #1 Market")
    assert f"winback.yml, line {line}, email.from_name: YAML takes '#1 Market' for a comment." in folder.refusal()
    folder.change(folder.winback, "from_name: Riverside #1 Market", "from_name: #1 Market")
    assert f"winback.yml, line {line}, email.from_name: YAML takes '#1 Market' for a comment." in folder.refusal()
    folder.change(folder.winback, "from_name: #1 Market", "from_name: Riverside #1 Market")
    folder.change(folder.winback, "from_name: Riverside #1 Market", 'from_name: "Riverside #1 Market" # ours')
    folder.change(folder.winback, "mode: shadow ", "mode: shadow #for now ")
    folder.load()


@pytest.mark.parametrize("never", ["2026-11-31", "2026-02-30 10:00:00", "2026-11-30 25:00:00"])
def test_a_day_that_no_calendar_has_is_told_with_its_line(folder: Folder, never: str) -> None:
    line = folder.change(folder.winback, "live_from:  ", f"live_from: {never}  ")
    assert f"winback.yml, line {line}, live_from: no calendar has this day, or no clock this hour." in folder.refusal()


@pytest.mark.parametrize("line", ["2026-02-30: x", "more: !!int many", 'more: "\\U7FFFFFFF"', "more: !!bool many"])
def test_a_file_that_cannot_be_read_for_any_other_value_is_told_and_never_passed_over(
    folder: Folder, line: str
) -> None:
    folder.change(folder.winback, "steps:\n", f"{line}\nsteps:\n")
    assert "winback.yml, the file: holds a number, a date or a character that cannot be read." in folder.refusal()


def test_a_step_after_a_disabled_one_is_never_reached(folder: Folder) -> None:
    folder.change(folder.winback, "  - key: day30\n", "  - key: day30\n    enabled: false\n")
    assert "is never reached: step 'day30' is not enabled" in folder.refusal()


def test_steps_that_wait_for_each_other_are_never_reached(folder: Folder) -> None:
    folder.change(
        folder.winback,
        "  - key: day30\n    after_days: 30\n",
        "  - key: day30\n    after_step: day30_push\n    event: clicked\n    wait_days: 1\n",
    )
    assert "is never reached: day30 waits for day30_push waits for day30" in folder.refusal()


def test_only_an_e_mail_can_be_opened(folder: Folder) -> None:
    again = "  - key: again\n    after_step: day30_push\n    event: opened\n    wait_days: 1\n"
    again += "    channels: [webpush]\n    template: bestsellers\n"
    folder.winback.write_text(folder.winback.read_text() + "\n" + again)
    assert "only an e-mail can be opened, and step 'day30_push' sends none" in folder.refusal()


def test_two_steps_may_share_a_day_while_one_is_switched_off(folder: Folder) -> None:
    folder.change(
        folder.winback,
        "  - key: day90\n    after_days: 90\n",
        "  - key: day90\n    enabled: false\n    after_days: 60\n",
    )
    folder.load()


def test_campaigns_share_one_zone_and_one_hour(folder: Folder) -> None:
    other = folder.add_reactivation()
    folder.change(other, "timezone: America/New_York", 'timezone: America/Chicago\nbuild_at: "06:00"')
    refusal = folder.refusal()
    assert "timezone: America/New_York differs from America/Chicago" in refusal
    assert "build_at: 05:00 differs from 06:00" in refusal
    assert "One daily run decides for all campaigns" in refusal


def test_a_promotion_of_two_files_has_one_offer(folder: Folder) -> None:
    other = folder.add_reactivation()
    folder.change(other, "promotions:\n", "promotions:\n  winback_discount10:\n    offer: 15% off\n")
    refusal = folder.refusal()
    assert "promotions.winback_discount10.offer" in refusal
    assert "'10% off your next order' disagrees with '15% off'" in refusal
    assert "reactivation.yml line" in refusal


def test_two_files_cannot_be_the_same_campaign(folder: Folder) -> None:
    other = folder.add_reactivation()
    folder.change(other, "campaign: reactivation", "campaign: winback")
    assert "'winback' is the campaign of two files, this one and" in folder.refusal()
