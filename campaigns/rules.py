"""What must hold between the keys of a campaign file, once each of them is well-formed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from campaigns import markup
from campaigns.places import FRAMES, country_of
from campaigns.problems import Problems, did_you_mean, shown
from campaigns.schema import Head, Hours, PlaceHours, Promotion, Section, Shop, Step
from campaigns.source import Source
from campaigns.variables import Needs
from senders.contract import EMAIL, SMS, WEBPUSH

_Note = Callable[[str, str], None]
"""Notes a mistake at a key of one step."""

SENDER_KEYS = {
    EMAIL: "from_name, from_address, reply_to and postal_address",
    SMS: "brand, opt_out and from_number",
    WEBPUSH: "contact",
}


@dataclass
class Draft:
    """A file whose sections were read one by one: what is wrong with one does not hide what is wrong with another."""

    source: Source
    head: Head | None = None
    sections: dict[str, Section | None] = field(default_factory=dict)
    places: dict[str, PlaceHours] = field(default_factory=dict)
    """`hours.places`, by their codes; the well-formed ones."""
    promotions: dict[str, Promotion] = field(default_factory=dict)
    promotion_names: frozenset[str] = frozenset()
    """As written, well-formed or not."""
    steps: list[tuple[int, Step]] = field(default_factory=list)
    """The well-formed ones, with their place in the file."""
    step_keys: list[str] = field(default_factory=list)
    """As written, well-formed or not."""

    @property
    def shop(self) -> Shop | None:
        """The shop, where it was well-formed."""
        found = self.sections.get("shop")
        return found if isinstance(found, Shop) else None

    @property
    def host(self) -> str:
        """The shop's host; empty where it is not known."""
        return (urlsplit(self.shop.url).hostname or "") if self.shop else ""

    def step(self, key: str | None) -> Step | None:
        """A well-formed step, by its key."""
        return next((step for _, step in self.steps if step.key == key), None)

    def has(self, step: Step) -> frozenset[Needs]:
        """What a step's template may count on."""
        found = {Needs.PROMOTION} if step.promotion else set()
        if self.source.data.get("clock") != "last_activity":
            found.add(Needs.PURCHASE)
        found |= {need for need, key in ((Needs.EMAIL, EMAIL), (Needs.SMS, SMS)) if key in self.source.data}
        return frozenset(found)


def check(draft: Draft, problems: Problems) -> None:
    """Notes everything that is wrong between the keys."""
    _check_mode(draft, problems)
    _check_senders(draft, problems)
    _check_hours(draft, problems)
    _check_shop(draft, problems)
    _check_keys(draft, problems)
    for number, step in draft.steps:
        _check_step(draft, number, step, problems)
    _check_overlaps(draft, problems)


def _check_mode(draft: Draft, problems: Problems) -> None:
    head, source = draft.head, draft.source
    if head is None:
        return
    if head.mode == "live" and head.live_from is None:
        source.add(
            problems, ("live_from",), "mode is live, so the first day to send for is needed, such as 2026-12-01."
        )
    if head.mode == "allowlist" and not head.allowlist:
        source.add(problems, ("allowlist",), "mode is allowlist, so at least one contact id is needed.")
    if len(set(head.allowlist)) < len(head.allowlist):
        source.add(problems, ("allowlist",), "names a contact twice.")
    if head.build_at >= head.send_at:
        source.add(
            problems, ("build_at",), f"expected an hour before send_at ({head.send_at}): what is sent is decided first."
        )
    wanted = {"last_purchase": "purchase", "last_activity": "activity"}[head.clock]
    if wanted not in head.cancelled_by:
        source.add(
            problems, ("cancelled_by",), f"must name {wanted}: the clock is {head.clock}, so that starts a new episode."
        )


def _check_senders(draft: Draft, problems: Problems) -> None:
    used = {channel for _, step in draft.steps for channel in step.channels}
    for channel, keys in SENDER_KEYS.items():
        if channel in used and channel not in draft.source.data:
            draft.source.add(
                problems, (channel,), f"a step speaks through {channel}, so this section is needed: {keys}."
            )


def _check_hours(draft: Draft, problems: Problems) -> None:
    hours, head = draft.sections.get("hours"), draft.head
    if head is None or not isinstance(hours, Hours):
        return
    for channel in sorted({channel for _, step in draft.steps for channel in step.channels}):
        windows = _windows(draft, hours, channel)
        for place, (opens, closes) in windows.items():
            # In a place of its own a message may wait for the opening, but not for the next day.
            if not (opens <= head.send_at or place[1] == "places") or head.send_at >= closes:
                draft.source.add(
                    problems,
                    place,
                    f"send_at is {head.send_at}, outside {opens} to {closes}: nothing would ever leave on time.",
                )
        if windows and max(opens for opens, _ in windows.values()) >= min(closes for _, closes in windows.values()):
            draft.source.add(
                problems,
                ("hours", "places"),
                f"no hour of {channel} suits all of them, and hours that suit all are those of a contact whose country "
                "or region is not known. Let them overlap.",
            )
        if channel == SMS:
            _check_frames(draft, windows, problems)


_Windows = Mapping[tuple[str, ...], tuple[str, str]]
"""The hours of a channel, by the key they stand at: everywhere, and place by place."""


def _windows(draft: Draft, hours: Hours, channel: str) -> _Windows:
    listed: dict[tuple[str, ...], tuple[str, str] | None] = {("hours", channel): getattr(hours, channel)}
    listed |= {("hours", "places", code, channel): getattr(body, channel) for code, body in draft.places.items()}
    return {place: window for place, window in listed.items() if window is not None}


def _check_frames(draft: Draft, windows: _Windows, problems: Problems) -> None:
    """Texts keep to the hours of the law in every place whose law we know, whether or not the file names it."""
    wide: dict[tuple[str, ...], list[str]] = {}
    for place, frame in FRAMES.items():
        keys: tuple[tuple[str, ...], ...] = (
            ("hours", "places", place, SMS),
            ("hours", "places", country_of(place), SMS),
            ("hours", SMS),
        )
        key = next((listed for listed in keys if listed in windows), None)
        if key is not None and not (frame.opens <= windows[key][0] and windows[key][1] <= frame.closes):
            wide.setdefault(key, []).append(place)
    for where, places in wide.items():
        laws = [f"{place} ({FRAMES[place].opens} to {FRAMES[place].closes}, {FRAMES[place].law})" for place in places]
        advice = "" if places == [where[-2]] else ", or give them hours of their own below hours.places"
        draft.source.add(
            problems,
            where,
            f"{' to '.join(windows[where])} is wider than law allows texts in {', '.join(laws)}. Narrow it{advice}.",
        )


def _check_shop(draft: Draft, problems: Problems) -> None:
    if draft.shop:
        _check_link(draft, ("shop", "bestsellers"), draft.shop.bestsellers, problems)


def _check_link(draft: Draft, place: tuple[str | int, ...], link: str, problems: Problems) -> None:
    host = urlsplit(link).hostname
    if host and draft.host and not markup.of_domain(host, draft.host):
        draft.source.add(problems, place, f"{link!r} does not lead to the shop's domain {draft.host}.")


def _check_keys(draft: Draft, problems: Problems) -> None:
    seen: dict[str, int] = {}
    for number, step in draft.steps:
        place = ("steps", number, "key")
        if step.key in seen:
            first = draft.source.line(("steps", seen[step.key], "key"))
            draft.source.add(problems, place, f"{step.key!r} is already the key of the step on line {first}.")
        seen.setdefault(step.key, number)
    old: dict[str, str] = {}
    for number, step in draft.steps:
        place = ("steps", number, "renamed_from")
        if step.renamed_from is None:
            continue
        if step.renamed_from in draft.step_keys:
            draft.source.add(problems, place, f"{step.renamed_from!r} is still a step of its own.")
        if step.renamed_from in old:
            draft.source.add(problems, place, f"step {old[step.renamed_from]!r} was renamed from it already.")
        old[step.renamed_from] = step.key


def _check_step(draft: Draft, number: int, step: Step, problems: Problems) -> None:
    def note(key: str, message: str) -> None:
        draft.source.add(problems, ("steps", number, key), message)

    _check_trigger(draft, step, note)
    for key, values in (("channels", step.channels), ("requires", step.requires)):
        if len(set(values)) < len(values):
            note(key, "names one twice; the order is the order of trying, and each is tried once.")
    if step.promotion is not None and step.promotion not in draft.promotion_names:
        note(
            "promotion",
            f"there is no promotion {step.promotion!r}.{did_you_mean(step.promotion, draft.promotion_names)}",
        )
    if step.promotion is None and step.contact_event == "coupon_assigned":
        note("contact_event", "coupon_assigned needs a promotion: without one no coupon is assigned.")
    if step.channels and step.template is None:
        note("template", "a step with channels needs a template.")
    if not step.channels:
        for key in ("template", "promotion"):
            if getattr(step, key) is not None:
                note(key, f"this step has no channels, so nothing would ever carry its {key}.")
        if step.tag is None:
            note("channels", "expected channels, or a tag: this step would do nothing.")
    if step.tag_until is not None and step.tag is None:
        note("tag_until", "says when a tag is removed, and this step has no tag.")
    _check_channels(step, note)
    _check_link(draft, ("steps", number, "link"), step.link, problems)


def _check_channels(step: Step, note: _Note) -> None:
    if step.sendgrid_template_id is not None and EMAIL not in step.channels:
        note("sendgrid_template_id", "this step sends no e-mail.")
    if EMAIL in step.channels and "consent_email" not in step.requires:
        note("requires", "a step that sends e-mail must require consent_email.")
    if step.channels == [SMS] and "consent_sms" not in step.requires:
        note("requires", "a step that sends texts alone must require consent_sms.")


def _check_trigger(draft: Draft, step: Step, note: _Note) -> None:
    if step.after_days is not None:
        for key in ("after_step", "event", "wait_days", "no_purchase_days", "no_activity_days"):
            if getattr(step, key) is not None:
                note(key, "goes with after_step; this step has after_days. Keep one of the two.")
        return
    if step.after_step is None:
        note(
            "after_days", "expected after_days (days since the clock started), or after_step with event and wait_days."
        )
        return
    for key, example in (("event", "opened"), ("wait_days", "3")):
        if getattr(step, key) is None:
            note(key, f"is missing; a step after another one needs it, such as `{key}: {example}`.")
    if step.after_step not in draft.step_keys:
        note("after_step", f"there is no step {step.after_step!r}.{did_you_mean(step.after_step, draft.step_keys)}")
        return
    _check_parent(draft, step, note)


def _check_parent(draft: Draft, step: Step, note: _Note) -> None:
    parent = draft.step(step.after_step)
    if parent is None:
        return
    chain = [step.key]
    ancestor: Step | None = parent
    while ancestor is not None:
        if ancestor.key in chain:
            note("after_step", f"is never reached: {' waits for '.join([*chain, ancestor.key])}.")
            return
        chain.append(ancestor.key)
        ancestor = draft.step(ancestor.after_step) if ancestor.after_step else None
    if step.enabled and not parent.enabled:
        note("after_step", f"is never reached: step {parent.key!r} is not enabled.")
    if not parent.channels:
        note("after_step", f"is never reached: step {parent.key!r} has no channels, so it is never {step.event}.")
    elif step.event == "opened" and EMAIL not in parent.channels:
        note("event", f"is never reached: only an e-mail can be opened, and step {parent.key!r} sends none.")
    elif step.event == "clicked" and not {EMAIL, WEBPUSH} & set(parent.channels):
        note(
            "event", f"is never reached: nobody tells us of clicks in a text, and step {parent.key!r} sends only texts."
        )


def _check_overlaps(draft: Draft, problems: Problems) -> None:
    seen: dict[tuple[object, ...], tuple[int, str]] = {}
    for number, step in draft.steps:
        if not step.enabled:
            continue
        if step.after_days is not None:
            when: tuple[object, ...] = ("clock", step.after_days)
            what, key = f"day {step.after_days}", "after_days"
        else:
            when = ("event", step.after_step, step.event, step.wait_days)
            what, key = f"{step.wait_days} days after {step.after_step!r} was {step.event}", "wait_days"
        if when in seen:
            first, name = seen[when]
            line = draft.source.line(("steps", first, "key"))
            draft.source.add(
                problems, ("steps", number, key), f"overlaps step {name!r} of line {line}: both fall on {what}."
            )
        seen.setdefault(when, (number, step.key))


def step_days(step: Step, steps: Mapping[str, Step]) -> int:
    """How many days lie between an episode's start and the step: within them the same step is never sent again."""
    if step.after_days is not None:
        return step.after_days
    return step_days(steps[step.after_step or ""], steps) + (step.wait_days or 0)


def check_across(drafts: Sequence[Draft], problems: Problems) -> None:
    """Notes what differs between files that must agree: names, the zone and hour of the one daily run, promotions."""
    names: dict[str, Draft] = {}
    promotions: dict[str, tuple[Draft, Promotion]] = {}
    for draft in drafts:
        if draft.head is not None:
            other = names.setdefault(draft.head.campaign, draft)
            if other is not draft:
                draft.source.add(
                    problems,
                    ("campaign",),
                    f"{draft.head.campaign!r} is the campaign of two files, this one and "
                    f"{_where(other, 'campaign')}: whichever is the copy needs a name of its own.",
                )
            _check_one_run(next(iter(names.values())), draft, problems)
        for name, promotion in draft.promotions.items():
            first, agreed = promotions.setdefault(name, (draft, promotion))
            for key in Promotion.model_fields:
                if getattr(promotion, key) != getattr(agreed, key):
                    draft.source.add(
                        problems,
                        ("promotions", name, key),
                        f"{getattr(promotion, key)!r} disagrees with {getattr(agreed, key)!r} in "
                        f"{_where(first, 'promotions', name, key)}: one pool of codes has one offer.",
                    )


def _check_one_run(first: Draft, draft: Draft, problems: Problems) -> None:
    """One run decides for all campaigns, so that they cannot write to one person at once: one calendar, one hour."""
    if first.head is None or draft.head is None or first is draft:
        return
    for key in ("timezone", "build_at"):
        mine, theirs = getattr(draft.head, key), getattr(first.head, key)
        if mine != theirs:
            draft.source.add(
                problems,
                (key,),
                f"{mine} differs from {theirs} in {_where(first, key)}. One daily run decides for all campaigns of an "
                f"installation, so they share one {key}; recipients still get their mail in their own zone.",
            )


def _where(draft: Draft, *place: str) -> str:
    return f"{shown(draft.source.file)} line {draft.source.line(place)}"
