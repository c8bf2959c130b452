"""Memory of a dispatching process: two hundred thousand planned messages against twenty thousand.

One process sends everything, with the lanes and batches it has by default, to the sink: it holds a batch a lane.
"""

from __future__ import annotations

from bench import server
from bench.days import REPETITIONS
from bench.measure import Figure, median, say, spread
from bench.outgoing import outgoing
from bench.sending import QUICK, dispatched, sink
from outbox.dispatch import CONNECTIONS

FEW, MANY = 20_000, 200_000
LIMIT = 1.1


def run(quick: bool) -> list[Figure]:
    """The peak over many messages by the peak over few."""
    peaks: dict[int, list[int]] = {}
    with sink() as host:
        for wanted in (FEW, MANY):
            messages = wanted // QUICK if quick else wanted
            box = outgoing("email", messages * 9 // 8)  # a tenth is held out
            found = [dispatched(box, host, lanes=CONNECTIONS, shards=1) for _ in range(REPETITIONS)]
            server.drop(box.name)
            peaks[box.messages] = [each.peak_bytes for each in found]
            mib = median(peaks[box.messages]) / 2**20
            say(f"{box.messages:,} messages: {mib:,.1f} MiB, {median([each.rate for each in found]):,.0f} a second")
    few, many = (median(found) for _, found in sorted(peaks.items()))
    return [
        Figure(
            "peak memory of a dispatching process: many messages over few",
            many / few,
            LIMIT,
            measured={f"bytes, {messages:,} messages": spread(found) for messages, found in sorted(peaks.items())},
            summary=f"{many / 2**20:,.1f} and {few / 2**20:,.1f} MiB, "
            f"{' and '.join(f'{messages:,}' for messages in sorted(peaks, reverse=True))} messages",
        )
    ]
