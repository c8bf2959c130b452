"""MJML's tags, what may stand in them, and their attributes (mjml.io/documentation, version 4).

The compiler takes a misspelt tag or attribute without a word and leaves it out of the mail, so we look ourselves.
Accordion, carousel and navbar are left out on purpose: most inboxes show them as a pile.
"""

from __future__ import annotations


def _sides(name: str) -> str:
    return " ".join(f"{name}{side}" for side in ("", "-top", "-right", "-bottom", "-left"))


_FONT = "color font-family font-size font-style font-weight letter-spacing line-height text-decoration text-transform"
_BACKGROUND = (
    "background-color background-position background-position-x background-position-y background-repeat "
    "background-size background-url"
)
_BOX = f"{_sides('padding')} container-background-color"
_LINK = "href rel target title name"
_SECTION = f"{_BACKGROUND} {_sides('border')} border-radius direction full-width {_sides('padding')} text-align"

ATTRIBUTES: dict[str, frozenset[str]] = {
    tag: frozenset(listed.split())
    for tag, listed in {
        "mjml": "owa lang dir",
        "mj-head": "",
        "mj-body": "background-color width css-class",
        "mj-title": "",
        "mj-preview": "",
        "mj-style": "inline",
        "mj-font": "name href",
        "mj-breakpoint": "width",
        "mj-attributes": "",
        "mj-include": "path",
        "mj-raw": "position",
        "mj-wrapper": _SECTION,
        "mj-section": _SECTION,
        "mj-column": (
            f"background-color {_sides('border')} border-radius direction inner-background-color "
            f"{_sides('inner-border')} inner-border-radius {_sides('padding')} vertical-align width"
        ),
        "mj-group": "background-color direction vertical-align width",
        "mj-hero": (
            f"{_BACKGROUND} background-height background-width border-radius height {_sides('inner-padding')} "
            f"inner-background-color mode {_sides('padding')} vertical-align width"
        ),
        "mj-text": f"align {_FONT} {_BOX} height vertical-align",
        "mj-button": (
            f"align background-color {_sides('border')} border-radius {_FONT} {_BOX} {_LINK} height inner-padding "
            "text-align vertical-align width"
        ),
        "mj-image": (
            f"align alt {_sides('border')} border-radius {_BOX} {_LINK} fluid-on-mobile font-size height max-height "
            "sizes src srcset usemap width"
        ),
        "mj-divider": f"align border-color border-style border-width {_BOX} width",
        "mj-spacer": f"{_BOX} height",
        "mj-table": f"align border cellpadding cellspacing {_FONT} {_BOX} role table-layout width",
        "mj-social": (
            f"align border-radius {_FONT} {_BOX} icon-height icon-padding icon-size inner-padding mode text-padding"
        ),
        "mj-social-element": (
            f"align alt background-color border-radius {_FONT} {_sides('padding')} {_LINK} icon-height icon-padding "
            "icon-position icon-size sizes src srcset text-padding vertical-align"
        ),
    }.items()
}
EVERYWHERE = frozenset({"css-class", "mj-class"})
"""Attributes that every tag of the body takes."""

_LEAVES = "mj-text mj-button mj-image mj-divider mj-spacer mj-table mj-social mj-raw mj-include"
CHILDREN: dict[str, frozenset[str]] = {
    tag: frozenset(listed.split())
    for tag, listed in {
        "": "mjml",
        "mjml": "mj-head mj-body",
        "mj-head": "mj-title mj-preview mj-style mj-font mj-breakpoint mj-attributes mj-raw mj-include",
        "mj-attributes": " ".join(("mj-all", "mj-class", *ATTRIBUTES)),
        "mj-body": "mj-wrapper mj-section mj-hero mj-raw mj-include",
        "mj-wrapper": "mj-section mj-hero mj-raw mj-include",
        "mj-section": "mj-column mj-group mj-raw mj-include",
        "mj-group": "mj-column mj-raw mj-include",
        "mj-column": _LEAVES,
        "mj-hero": _LEAVES,
        "mj-social": "mj-social-element",
    }.items()
}
"""What may stand directly in a tag. A tag that is not listed holds text or HTML."""

TEXT_ONLY = frozenset({"mj-title", "mj-preview", "mj-style"})
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
"""HTML's own tags that are never closed."""
