"""The pages people see: plain, small, readable on a phone, nothing loaded from anywhere, nothing done by a GET."""

from __future__ import annotations

from starlette.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark }
body { font: 1.125rem/1.5 system-ui, sans-serif; margin: 0; padding: 1.5rem; background: #f6f5f2; color: #1c1b19 }
main { max-width: 32rem; margin: 8vh auto 0; padding: 1.5rem; background: #fff; border-radius: .75rem }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .75rem }
p { margin: 0 0 1rem }
form { margin: 0 0 .75rem }
fieldset { border: 0; padding: 0; margin: 0 0 1.5rem }
legend { font-weight: 600; padding: 0; margin: 0 0 .5rem }
button { font: inherit; display: block; width: 100%; min-height: 3rem; margin: 0 0 .5rem; padding: .5rem 1rem;
  border: 2px solid #1c1b19; border-radius: .5rem; background: #fff; color: #1c1b19; cursor: pointer }
button.main { background: #1c1b19; color: #fff }
button:focus-visible, a:focus-visible { outline: 3px solid #2b6cb0; outline-offset: 2px }
a { color: inherit }
@media (prefers-color-scheme: dark) {
  body { background: #161513; color: #f2f0ec } main { background: #23211e }
  button { background: #23211e; color: #f2f0ec; border-color: #f2f0ec }
  button.main { background: #f2f0ec; color: #1c1b19 }
}
"""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}

CHOICES = (
    ("Take a break from everything", (("pause_30", "Pause for 30 days"), ("pause_90", "Pause for 90 days"))),
    (
        "Stop",
        (
            ("stop_email", "Stop e-mails"),
            ("stop_sms", "Stop text messages"),
            ("stop_webpush", "Stop browser notifications"),
        ),
    ),
    (
        "Changed your mind?",
        (
            ("start_email", "Send me e-mails again"),
            ("start_sms", "Send me text messages again"),
            ("start_webpush", "Send me browser notifications again"),
        ),
    ),
)

DONE = {
    "pause_30": "You will not hear from us for 30 days.",
    "pause_90": "You will not hear from us for 90 days.",
    "stop_email": "You will get no more e-mails of this kind from us.",
    "stop_sms": "You will get no more text messages from us.",
    "stop_webpush": "You will get no more browser notifications from us.",
    "start_email": "You will get our e-mails again.",
    "start_sms": "You will get our text messages again. If you had answered STOP to one, text START to it, too.",
    "start_webpush": "You will get our browser notifications again.",
}


def page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """One page. `body` is HTML of ours; nothing that a visitor sent is ever in it."""
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    )
    return HTMLResponse(document, status, headers=HEADERS)


def ask_unsubscribe(preferences: str) -> HTMLResponse:
    """The question; only its button unsubscribes, for link scanners open everything they find."""
    return page(
        "Stop our e-mails?",
        "<p>One click and we will not write to you again. No hard feelings.</p>"
        '<form method="post"><button class="main">Unsubscribe</button></form>'
        f'<p>Would a break be enough? <a href="{preferences}">Pause, or choose what you get</a>.</p>',
    )


def unsubscribed(preferences: str) -> HTMLResponse:
    """The answer, the same however often it is asked."""
    return page(
        "You are unsubscribed",
        "<p>You will get no more e-mails of this kind from us. One that is already on its way may still arrive.</p>"
        f'<p>A mistake? <a href="{preferences}">Change it here</a>.</p>',
    )


def preferences() -> HTMLResponse:
    """The choices, one button each."""
    groups = "".join(
        f"<fieldset><legend>{legend}</legend>"
        + "".join(f'<button name="choice" value="{value}">{label}</button>' for value, label in choices)
        + "</fieldset>"
        for legend, choices in CHOICES
    )
    return page("What would you like to hear from us?", f'<form method="post">{groups}</form>')


def chosen(choice: str) -> HTMLResponse:
    """What was chosen, and the way back."""
    return page("Done", f'<p>{DONE[choice]}</p><p><a href="">Change something else</a></p>')


def not_found() -> HTMLResponse:
    """For a link that is not ours, or was cut in two by a mail program."""
    return page(
        "This link does not work",
        "<p>It may have been cut off. Please use the link in the e-mail itself, or answer that e-mail and tell us.</p>",
        404,
    )


def tested() -> HTMLResponse:
    """Where every link of a test leads (`winback send-test`): whom it was filled for must not be unsubscribed."""
    return page(
        "This was a test",
        "<p>Somebody in the team sent the message to look at it. Its link works, and nobody was unsubscribed.</p>",
    )


def trouble() -> HTMLResponse:
    """For when the warehouse cannot be reached: nobody may believe they are unsubscribed when they are not."""
    return page("Please try again", "<p>We could not save this just now. Please try again in a minute.</p>", 503)


def later() -> HTMLResponse:
    """For a link whose wishes changed too often to be kept. A stop is always kept, so nobody waits with one."""
    return page(
        "Please try again",
        "<p>Your choices changed many times just now, and this one was not saved. Please try again in a few minutes. "
        'To stop messages works at any time. <a href="">Back to the page</a></p>',
        429,
    )


def unclear() -> HTMLResponse:
    """For a form that was not sent by our page."""
    return page("Please choose", '<p>We did not understand the choice. <a href="">Back to the page</a></p>', 400)
