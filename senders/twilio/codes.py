"""Whose fault a refusal is, by Twilio's error dictionary (https://www.twilio.com/docs/api/errors).

A code that stands in none of these is taken for the message's own: it is rejected, its number stays good, and its next
channel has its turn.
"""

from __future__ import annotations

STOPPED = frozenset({21610})
"""The person answered STOP."""
INVALID = frozenset({21211, 21217, 21265, 21614, 21635})
"""There is no number, or none that takes texts."""
OWN = frozenset({21266, 21268, 21408, 21612, 21617, 21657, 21662, 30007})
"""This text or its way to this number: our own number, a premium number, a country that the account does not serve or
our sender cannot reach, too long, filtered. 21408 is a setting of the account (geo permissions) that concerns a
country: one person there must not stand in everybody's way."""
THROTTLED = frozenset({14107, 20429, 21611, 21730, 30001, 60728, 63017, 63038})
"""Too much for now: a rate, a full queue, a daily limit, maintenance."""
_ACCESS = frozenset({403, 10001, 10002, 20003, 20004, 20005, 20006, 20008, 20010, 20011, 20012, 20403, 20404, 20410})
_ACCESS |= frozenset({20426, 70051, 90010})
"""Credentials, and an account that is suspended, closed or on trial."""
_SENDER = frozenset({21212, 21401, 21601, 21603, 21606, 21607, 21608, 21616, 21618, 21659, 21660, 21661, 21663})
_SENDER |= frozenset({30032, 30033, 30034, 30035, 30037, 30042})
"""The number or name that texts come from: not ours, not for texts, not registered with carriers, not released yet."""
_SERVICE = frozenset({21701, 21702, 21703, 21704, 21705, 21709, 21711, 30127})
"""The messaging service: unknown, closed, or without a sender."""
_SETTINGS = frozenset({21609, 21624})
"""Where status callbacks go, and how long a text is valid."""
ACCOUNT = _ACCESS | _SENDER | _SERVICE | _SETTINGS | frozenset({30002})
"""Everybody's: nobody is rejected for it, and nothing more is handed over until it is mended."""
