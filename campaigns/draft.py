"""Reads a campaign file section by section, and says in plain words what each of them lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from campaigns import places, schema, source
from campaigns.problems import Problems, did_you_mean
from campaigns.rules import Draft
from campaigns.source import Place, Source

_Model = TypeVar("_Model", bound=BaseModel)


def read(file: Path, problems: Problems) -> Draft | None:
    """The file's well-formed parts, every mistake noted; None where it is no YAML at all."""
    found = source.read(file, problems)
    if found is None:
        return None
    for key in found.data:
        if key not in schema.KEYS:
            found.add(problems, (key,), f"unknown key.{did_you_mean(key, schema.KEYS)}")
    draft = Draft(found)
    head = {key: value for key, value in found.data.items() if key in schema.Head.model_fields}
    draft.head = _section(found, (), head, schema.Head, problems)
    _read_places(draft, problems)
    for key, model in schema.SECTIONS.items():
        draft.sections[key] = _optional_section(found, key, model, problems)
    promotions = _mapping(found, ("promotions",), found.data.get("promotions"), problems)
    draft.promotion_names = frozenset(promotions)
    for name, value in promotions.items():
        place: Place = ("promotions", name)
        promotion = _section(found, place, _mapping(found, place, value, problems), schema.Promotion, problems)
        if promotion is not None:
            draft.promotions[name] = promotion
    _read_steps(draft, problems)
    return draft


def _read_places(draft: Draft, problems: Problems) -> None:
    """Takes `hours.places` out of the section: its keys are codes, and each has a section of its own below it."""
    found = draft.source
    hours = found.data.get("hours")
    if not isinstance(hours, dict) or "places" not in hours:
        return
    found.data["hours"] = {key: value for key, value in hours.items() if key != "places"}
    for code, value in _mapping(found, ("hours", "places"), hours["places"], problems).items():
        place: Place = ("hours", "places", code)
        wrong = places.mistake(code)
        if wrong:
            found.add(problems, place, wrong)
        if not value:
            found.add(problems, place, 'expected hours of a channel below it, such as `sms: ["10:00", "19:00"]`.')
            continue
        body = _section(found, place, _mapping(found, place, value, problems), schema.PlaceHours, problems)
        if body is not None and not wrong:
            draft.places[code] = body


def _read_steps(draft: Draft, problems: Problems) -> None:
    found = draft.source
    steps = found.data.get("steps")
    if not isinstance(steps, list) or not steps:
        found.add(problems, ("steps",), "expected at least one step, each beginning with `- key: ...`.")
        return
    for number, value in enumerate(steps):
        place: Place = ("steps", number)
        values = _mapping(found, place, value, problems)
        if isinstance(values.get("key"), str):
            draft.step_keys.append(values["key"])
        step = _section(found, place, values, schema.Step, problems)
        if step is not None:
            draft.steps.append((number, step))


def _optional_section(
    found: Source, key: str, model: type[schema.Section], problems: Problems
) -> schema.Section | None:
    if key not in found.data:
        if key in schema.REQUIRED_SECTIONS:
            found.add(problems, (key,), f"this section is missing: {', '.join(model.model_fields)}.")
        return None if key in (*schema.REQUIRED_SECTIONS, *schema.OPTIONAL_SENDERS) else model()
    return _section(found, (key,), _mapping(found, (key,), found.data[key], problems), model, problems)


def _mapping(found: Source, place: Place, value: Any, problems: Problems) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        found.add(problems, place, f"expected keys below it, found {value!r}.")
        return {}
    return value


def _section(
    found: Source, place: Place, values: Mapping[str, Any], model: type[_Model], problems: Problems
) -> _Model | None:
    """One section, or None with its mistakes noted. A key with nothing behind it counts as not given."""
    try:
        return model.model_validate({key: value for key, value in values.items() if value is not None})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            inside = tuple(
                part for part in detail["loc"] if isinstance(part, int) or part in values or part in model.model_fields
            )
            found.add(problems, (*place, *inside), _explain(detail, model))
        return None


SAID = frozenset({"subject", "preheader", "text", "html", "body", "title", "sms", "push"})
"""What marketers look for in a step, and find in its template."""
FILES = "templates/<template>/ beside this one: subject.txt, email.mjml, email.txt, sms.txt, push.yml"


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """What pydantic found, said to a marketer."""
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = [*model.model_fields, *(["places"] if model is schema.Hours else [])]
        if model is schema.Step and detail["loc"][-1] in SAID:
            return f"is no key of a step: what it says stands in the files of its template, {FILES}."
        return f"unknown key.{did_you_mean(str(detail['loc'][-1]), known)}"
    if kind == "missing":
        return 'expected two hours such as ["09:00", "20:00"].' if isinstance(detail["loc"][-1], int) else "is missing."
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        return f"{given!r} is not known.{did_you_mean(str(given), known)}"
    if kind == "value_error":
        wanted, _, hint = str(context["error"]).partition(". ")
        return f"{wanted}; found {given!r}.{f' {hint}' if hint else ''}"
    expected = {
        "string_type": "text (in quotes where it looks like a number)",
        "int_type": "a whole number",
        "bool_type": "true or false",
        "list_type": "a list such as [email, sms]",
        "tuple_type": 'two hours such as ["09:00", "20:00"]',
        "too_long": 'two hours such as ["09:00", "20:00"]' if model in (schema.Hours, schema.PlaceHours) else "fewer",
        "too_short": "at least one",
        "string_too_short": "some text",
        "string_too_long": f"at most {context.get('max_length')} characters",
        "greater_than_equal": f"at least {context.get('ge')}",
        "less_than_equal": f"at most {context.get('le')}",
    }.get(kind)
    if kind == "string_pattern_mismatch":
        expected = _PATTERNS.get(str(detail["loc"][-1]), "some text")
    return f"expected {expected or detail['msg']}, found {given!r}."


_PATTERNS = {
    "from_number": 'a phone number in the form "+15005550006", in quotes',
    "contact": "an address such as mailto:care@shop.example.com",
}
