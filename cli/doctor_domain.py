"""What `winback doctor` asks of DNS: SPF, DKIM and DMARC of the domains that campaigns send from.

Mailbox providers refuse or bin mass mail without them (Gmail's and Yahoo's sender guidelines since February 2024).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

from cli.checkup import Check, Line, failed, ok, warning
from cli.doctor_senders import campaign_documents
from warehouse import connections
from warehouse.errors import Misconfigured

DNS_SECONDS = 5.0
SELECTORS = ("s1", "s2")
"""SendGrid's own for an authenticated domain; extra `dkim_selectors` of `sendgrid_default` names others."""
RESERVED = re.compile(r"(^|\.)(example\.(com|net|org)|example|test|invalid|localhost)$")
"""RFC 2606: nobody's domains."""
AUTHENTICATE = "Authenticate the domain in SendGrid (Settings, Sender Authentication) and add the records it shows."

_TAG = re.compile(r"\s*([a-zA-Z]+)\s*=\s*([^;]*)")


class UnansweredError(Exception):
    """The name servers gave no answer, which says nothing about the record."""


class Resolver(Protocol):
    """Where records are looked up."""

    def txt(self, name: str) -> Sequence[str]:
        """The TXT records of a name, aliases followed; none where there are none. Raises `UnansweredError`."""
        ...


class Dns:
    """This machine's own name servers."""

    def txt(self, name: str) -> Sequence[str]:
        """As `Resolver` says."""
        import dns.exception
        import dns.resolver

        try:
            answer = dns.resolver.resolve(name, "TXT", lifetime=DNS_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except dns.exception.DNSException as error:
            raise UnansweredError(type(error).__name__) from None
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]


def checks(resolver: Resolver | None = None) -> dict[str, Check]:
    """By subject: one for each sending domain."""
    domains = {
        str((document.get("email") or {}).get("from_address") or "").rpartition("@")[2].lower()
        for document in campaign_documents().values()
    } - {""}
    return {f"DNS {domain}": partial(domain_lines, domain, resolver or Dns()) for domain in sorted(domains)}


def domain_lines(domain: str, resolver: Resolver) -> Iterator[Line]:
    """SPF, DKIM and DMARC of one domain."""
    subject = f"DNS {domain}"
    if RESERVED.search(domain):
        yield failed(
            subject,
            "the campaign sends from a domain that is nobody's (RFC 2606), so there is nothing to look up",
            "Set email.from_address to an address of your own domain.",
        )
        return
    for kind, look in (("SPF", _spf), ("DKIM", _dkim), ("DMARC", _dmarc)):
        try:
            yield look(subject, domain, resolver)
        except UnansweredError as error:
            yield warning(
                subject,
                f"{kind} not checked: the name servers gave no answer ({error})",
                "Ask again, or from a machine that may use DNS.",
            )


def _spf(subject: str, domain: str, resolver: Resolver) -> Line:
    """One record at most (RFC 7208, 3.2). SendGrid's own bounce address has one of its own, so none is no failure."""
    found = [text for text in resolver.txt(domain) if re.match(r"v=spf1( |$)", text, re.IGNORECASE)]
    if len(found) > 1:
        return failed(subject, f"SPF: {len(found)} records, which counts as none", "Merge them into one (RFC 7208).")
    if not found:
        return warning(
            subject, "SPF: the domain has no record of its own", f"Fine where SendGrid keeps it. {AUTHENTICATE}"
        )
    if {"all", "+all"} & set(found[0].lower().split()):
        return failed(subject, "SPF: the record lets everybody send (+all)", "End it with ~all or -all.")
    return ok(subject, "SPF: there is one record")


def _dkim(subject: str, domain: str, resolver: Resolver) -> Line:
    connection = connections.find(connections.SENDGRID)
    named = connection.extra.get("dkim_selectors") if connection else None
    if named is not None and not (isinstance(named, list) and all(isinstance(each, str) and each for each in named)):
        raise Misconfigured(
            'Connection sendgrid_default: dkim_selectors must be a list of selectors, such as ["s1", "s2"].'
        )
    selectors = named or SELECTORS
    keys = {
        each: [_tags(text) for text in resolver.txt(f"{each}._domainkey.{domain}") if "p=" in text]
        for each in selectors
    }
    if any(tags.get("p") for found in keys.values() for tags in found):
        return ok(subject, "DKIM: a key is published")
    if any(keys.values()):
        return failed(subject, "DKIM: the published key is empty, which revokes it", AUTHENTICATE)
    return failed(
        subject,
        f"DKIM: no key under the selectors {', '.join(selectors)}",
        f"{AUTHENTICATE} Where it uses other selectors, name them in dkim_selectors of sendgrid_default's extra.",
    )


def _dmarc(subject: str, domain: str, resolver: Resolver) -> Line:
    """The domain's own policy, or that of the nearest parent that has one; a top-level domain is not asked."""
    labels = domain.split(".")
    for start in range(max(len(labels) - 1, 1)):
        name = ".".join(labels[start:])
        found = [text for text in resolver.txt(f"_dmarc.{name}") if re.match(r"v=DMARC1\s*(;|$)", text)]
        if len(found) > 1:
            return failed(subject, f"DMARC: {len(found)} records at {name}, which counts as none", "Keep one.")
        if found:
            policy = _tags(found[0]).get("p", "").lower()
            if policy not in ("none", "quarantine", "reject"):
                return failed(
                    subject, f"DMARC: the record at {name} has no policy", "Give it p=none, quarantine or reject."
                )
            return ok(subject, f"DMARC: policy {policy} at {name}")
    return failed(
        subject, "DMARC: no record", f'Publish a TXT record at _dmarc.{domain}, to begin with "v=DMARC1; p=none".'
    )


def _tags(text: str) -> dict[str, str]:
    """`v=DKIM1; k=rsa; p=MII...` by tag; the first of two alike counts."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        if (match := _TAG.match(part)) is not None:
            found.setdefault(match[1].lower(), "".join(match[2].split()))
    return found
