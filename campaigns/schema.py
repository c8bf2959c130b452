"""The sections of a campaign file, each with its own shape, defaults and limits."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from campaigns.problems import did_you_mean
from campaigns.variables import MAX_RECOMMENDATIONS

Channel = Literal["email", "sms", "webpush"]
Requirement = Literal["consent_email", "consent_sms"]
Event = Literal["accepted", "opened", "clicked"]

OPT_OUT_WORDS = ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPTOUT", "REVOKE")
"""The words a provider's own opt-out handling answers to (Twilio, "Twilio support for opt-out keywords")."""


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
        raise ValueError("expected small letters, digits and _, beginning with a letter, at most 40")
    return value


def _tag(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", value):
        raise ValueError("expected letters, digits, _, - and ., at most 80")
    return value


def _dynamic(value: str) -> str:
    if not re.fullmatch(r"d-[0-9a-f]{32}", value):
        raise ValueError("expected the id of a dynamic template of SendGrid's: d- and 32 digits and letters up to f")
    return value


def _wall_time(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError('expected an hour of the day such as "09:00", in quotes, from "00:00" to "23:59"')
    return value


_zones = cache(available_timezones)


def _zone(value: str) -> str:
    zones = _zones()
    if value not in zones:
        hint = did_you_mean(value, zones)
        known = f".{hint}" if "Did you" in hint else ""
        raise ValueError(f"expected an IANA time zone such as America/New_York{known}")
    return value


def _window(value: tuple[str, str]) -> tuple[str, str]:
    if value[0] >= value[1]:
        raise ValueError("expected the earlier hour first: a window does not cross midnight")
    return value


def _https(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("expected an https:// address without ? or #, such as https://shop.example.com")
    return value.rstrip("/")


def _link(value: str) -> str:
    if not re.fullmatch(r"(/|https://)[^\s{}\"'<>]*", value):
        raise ValueError("expected a path of the shop such as /bestsellers, or an https:// address of its domain")
    return value


def _address(value: str) -> str:
    if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>.]+", value):
        raise ValueError("expected an e-mail address such as care@shop.example.com")
    return value


def _opt_out(value: str) -> str:
    if not set(re.findall(r"[A-Z]+", value.upper())) & set(OPT_OUT_WORDS):
        raise ValueError(f"expected words that name one of {', '.join(OPT_OUT_WORDS)}, such as 'Reply STOP to opt out'")
    return value


def _day(value: object) -> object:
    if value is not None and type(value) is not date:
        raise ValueError("expected a day such as 2026-12-01, without quotes, or nothing")
    return value


Name = Annotated[str, AfterValidator(_name)]
Tag = Annotated[str, AfterValidator(_tag)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
WallTime = Annotated[str, BeforeValidator(_wall_time)]
Window = Annotated[tuple[WallTime, WallTime], AfterValidator(_window)]
Zone = Annotated[str, AfterValidator(_zone)]
ShopUrl = Annotated[str, AfterValidator(_https)]
Link = Annotated[str, AfterValidator(_link)]
Address = Annotated[str, AfterValidator(_address)]
Percent = Annotated[int, Field(ge=0, le=50)]
Days = Annotated[int, Field(ge=1, le=3650)]


class Section(BaseModel):
    """What all sections share: nothing unknown, nothing converted, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Caps(Section):
    """How many marketing messages a person gets at most, over all channels and systems."""

    per_day: int = Field(1, ge=1)
    per_7_days: int = Field(3, ge=1)


class Errors(Section):
    """When the campaign stops itself on a channel: too large a share of its last messages failed there."""

    stop_percent: int = Field(20, ge=1, le=100)
    of_at_least: int = Field(200, ge=1)
    within_minutes: int = Field(60, ge=1, le=1440)


class Hours(Section):
    """When a channel may speak, in the recipient's own zone. E-mail may at any hour unless told otherwise.

    The file's `hours.places` stands beside it, one `PlaceHours` a country or region.
    """

    email: Window | None = Field(None, strict=False)
    sms: Window | None = Field(("09:00", "20:00"), strict=False)
    webpush: Window | None = Field(("09:00", "20:00"), strict=False)


class PlaceHours(Section):
    """Hours of a country or region, in place of the wider ones. A channel that is not given has no others there."""

    email: Window | None = Field(None, strict=False)
    sms: Window | None = Field(None, strict=False)
    webpush: Window | None = Field(None, strict=False)


class Attribution(Section):
    """How long after which touch a purchase still counts as brought back."""

    click_days: int = Field(5, ge=0, le=90)
    open_days: int = Field(1, ge=0, le=90)
    push_click_hours: int = Field(24, ge=0, le=720)


class Shop(Section):
    """The shop all links lead to."""

    name: Text
    url: ShopUrl
    bestsellers: Link = "/bestsellers"


class Email(Section):
    """Who an e-mail is from. The postal address is asked for by law (CAN-SPAM, 15 U.S.C. 7704(a)(5))."""

    from_name: Text
    from_address: Address
    reply_to: Address
    postal_address: Text


class Sms(Section):
    """Who a text is from, and how to opt out of texts."""

    brand: Annotated[str, Field(min_length=1, max_length=40, pattern=r"\S")]
    opt_out: Annotated[str, Field(max_length=60), AfterValidator(_opt_out)]
    from_number: Annotated[str, Field(pattern=r"^\+[1-9]\d{6,14}$")]


class WebPush(Section):
    """Whom a push service may write to about our pushes (RFC 8292, `sub`)."""

    contact: Annotated[str, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://[^\s/]\S*)$")]


class Promotion(Section):
    """A pool of codes and what they are worth."""

    offer: Text
    valid_days: Annotated[int, Field(ge=1, le=365)] = 14
    alert_under_days: Annotated[int, Field(ge=0, le=365)] = 14


class Budget(Section):
    """What the gate lets through on one day."""

    messages_per_day: int = Field(5000, ge=0)
    grants_per_day: int = Field(2000, ge=0)


class Step(Section):
    """One step, as written."""

    key: Name
    enabled: bool = True
    renamed_from: Name | None = None
    after_days: Days | None = None
    after_step: Name | None = None
    event: Event | None = None
    wait_days: Annotated[int, Field(ge=0, le=365)] | None = None
    no_purchase_days: Days | None = None
    no_activity_days: Days | None = None
    requires: list[Requirement] = []
    channels: list[Channel] = []
    recommendations: Annotated[int, Field(ge=0, le=MAX_RECOMMENDATIONS)] = 0
    promotion: Name | None = None
    contact_event: Name | None = None
    tag: Tag | None = None
    tag_until: Literal["purchase", "activity"] | None = None
    template: Name | None = None
    sendgrid_template_id: Annotated[str, AfterValidator(_dynamic)] | None = None
    link: Link = "/"


class Head(Section):
    """The keys of a campaign that are no section of their own."""

    campaign: Name
    title: Text
    mode: Literal["shadow", "allowlist", "live"] = "shadow"
    live_from: Annotated[date | None, BeforeValidator(_day)] = None
    allowlist: list[str] = []
    enabled: bool = True
    clock: Literal["last_purchase", "last_activity"]
    cancelled_by: Annotated[list[Literal["purchase", "activity"]], Field(min_length=1)]
    timezone: Zone
    build_at: WallTime = "05:00"
    send_at: WallTime = "10:00"
    max_late_days: Annotated[int, Field(ge=0, le=30)] = 3
    priority: Annotated[int, Field(ge=0, le=1000)] = 10
    holdout_percent: Percent = 10


SECTIONS: dict[str, type[Section]] = {
    "caps": Caps,
    "errors": Errors,
    "hours": Hours,
    "attribution": Attribution,
    "shop": Shop,
    "email": Email,
    "sms": Sms,
    "webpush": WebPush,
    "budget": Budget,
}
REQUIRED_SECTIONS = ("shop",)
OPTIONAL_SENDERS = ("email", "sms", "webpush")
KEYS = (*Head.model_fields, *SECTIONS, "promotions", "steps")
"""Every key a campaign file may begin a line with."""
