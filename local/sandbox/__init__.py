"""The provider sandbox: SendGrid, Twilio and a web push service on one loopback port, for machines without accounts.

It is written from the providers' public documentation and knows nothing of our senders: what it refuses, the real one
refuses. `server` starts and finds it, `app` wires it, `sendgrid`, `twilio` and `webpush` take messages, `fates` decides
what recipients do, `webhooks` reports that back signed, `faults` misbehaves on command, `inbox` shows what was sent.
"""
