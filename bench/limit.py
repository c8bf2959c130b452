"""Against the limit: a day's cohorts, decisions and allocations from the fewest hand-written statements.

Three statements, written for this campaign and this day alone: its days, caps and holdout are in the text, there is no
definition to read, no evidence of what a decision saw, nothing incremental, nothing granted to anyone. Their rows are
compared with ours in each repetition. Ours are the dbt models up to the same three results, without dbt's tests.
"""

from __future__ import annotations

import psycopg

from bench.days import LARGE, REPETITIONS, select, shop
from bench.measure import Figure, database_time, median, spread

LIMIT = 3.0
SELECTED = ("+dormant_at_30", "+dormant_at_60", "+dormant_at_90", "+fct_decisions", "+coupon_allocations")
_DAY = "(%(as_of)s::date{})::timestamp at time zone 'America/New_York'"

COHORTS = f"""
create table by_hand_cohorts as
select days, contact_id
from unnest(array[30, 60, 90]) days
cross join lateral (
    select distinct o.contact_id from raw.orders o
    where o.ordered_at >= {_DAY.format(" - days")} and o.ordered_at < {_DAY.format(" - days + 1")}
        and o.status <> 'cancelled'
    offset 0
) last
where (
    select o.ordered_at from raw.orders o
    where o.contact_id = last.contact_id and o.ordered_at >= {_DAY.format(" - days + 1")}
        and o.ordered_at < {_DAY.format("")} and o.status <> 'cancelled'
    order by o.ordered_at limit 1
) is null
"""

DECISIONS = f"""
create table by_hand_decisions as
with last as (
    select distinct on (step, contact_id) step, days, contact_id,
        (ordered_at at time zone 'America/New_York')::date as episode_on
    from (values ('day30', 30), ('day60', 60), ('day90', 90)) steps (step, days)
    cross join lateral (
        select o.contact_id, o.ordered_at from raw.orders o
        where o.ordered_at >= {_DAY.format(" - days - 3")} and o.ordered_at < {_DAY.format(" - days + 1")}
            and o.status <> 'cancelled'
        offset 0
    ) placed
    order by step, contact_id, ordered_at desc
), due as (
    select l.*, l.episode_on + l.days as due_on,
        case when c.email ~* '^[^@ ]+@([a-z0-9-]+[.])+[a-z]+$' then lower(btrim(c.email)) end as email,
        case when c.phone ~ '^[+][1-9][0-9]{{6,14}}$' then c.phone end as phone,
        c.consent_email and c.consent_email_at < %(clock)s as may_email,
        c.consent_sms and c.consent_sms_at < %(clock)s as may_sms,
        c.timezone is not null and z.zone is null as is_zone_malformed
    from last l
    join raw.contacts c using (contact_id)
    left join outbox.time_zone z on z.zone = c.timezone
    where (
        select o.ordered_at from raw.orders o
        where o.contact_id = l.contact_id and o.ordered_at >= {_DAY.format(" - l.days + 1")}
            and o.ordered_at < (l.episode_on + l.days)::timestamp at time zone 'America/New_York'
            and o.status <> 'cancelled'
        order by o.ordered_at limit 1
    ) is null
    and not exists (
        select from outbox.message m
        where m.contact_id = l.contact_id and m.campaign = 'winback' and m.episode_on = l.episode_on and m.step = l.step
    )
    and not exists (
        select from outbox.decision d
        where d.contact_id = l.contact_id and d.campaign = 'winback' and d.episode_on = l.episode_on and d.step = l.step
            and d.decision <> 'hold' and d.mode <> 'shadow'
    )
), persons as (
    select due.*, coalesce((
        select o.contact_id from raw.contacts o
        where lower(btrim(o.email)) = due.email or btrim(o.phone) = due.phone
        order by o.created_at, o.contact_id limit 1
    ), due.contact_id) as person_id
    from due
), seen as (
    select p.*,
        exists (
            select from raw.orders o
            where o.contact_id = p.contact_id and o.ordered_at < %(clock)s and o.status <> 'cancelled'
                and o.ordered_at >= (p.episode_on + 1)::timestamp at time zone 'America/New_York'
        ) as has_purchased,
        exists (
            select from outbox.message m
            where m.contact_id = p.contact_id and m.campaign = 'winback' and m.step = p.step
                and m.episode_on < p.episode_on + p.days and m.episode_on + m.step_days > p.episode_on
                and m.state not in ('skipped', 'expired', 'rejected')
        ) as is_messaged,
        (
            select count(*) from outbox.message m
            where m.contact_id = p.contact_id and m.state not in ('skipped', 'expired', 'rejected')
                and m.accepted_at >= {_DAY.format(" - 6")} and m.accepted_at < {_DAY.format(" + 1")}
        ) + (
            select count(*) from raw.campaign_sends s
            where s.contact_id = p.contact_id
                and s.sent_at >= {_DAY.format(" - 6")} and s.sent_at < {_DAY.format(" + 1")}
        ) as touches,
        exists (
            select from outbox.suppression s
            where s.channel = 'email' and s.address_hash = outbox.address_hash('email', p.email) and s.lifted_at is null
        ) as is_suppressed,
        ('x' || left(encode(sha256(convert_to('winback:' || person_id, 'UTF8')), 'hex'), 8))::bit(32)::bigint
            * 100.0 / 4294967296 < 10 as is_held_out
    from persons p
)
select step, contact_id, person_id, episode_on, due_on, array_remove(array[
    case when has_purchased then 'purchased_since' end,
    case when is_messaged then 'already_messaged' end,
    case when is_zone_malformed or (email is null and not (step = 'day60' and may_sms and phone is not null))
        then 'invalid_address' end,
    case when may_email is not true then 'no_email_consent' end,
    case when is_suppressed then 'suppressed' end,
    case when step = 'day60' and may_email is not true and may_sms is not true then 'no_reachable_channel' end,
    case when may_email and not has_purchased and not is_messaged and not is_suppressed and is_held_out
        then 'holdout' end,
    case when touches >= 1 then 'frequency_cap' end
], null) as reasons
from seen
"""

ALLOCATIONS = """
create table by_hand_allocations as
with needs as (
    select contact_id, step, episode_on,
        case step when 'day60' then 'winback_discount10' else 'winback_discount20' end as promotion,
        row_number() over (
            partition by step order by due_on,
                md5(case step when 'day60' then 'winback_discount10' else 'winback_discount20' end || ':' || person_id),
                contact_id collate "C"
        ) as place
    from by_hand_decisions
    where cardinality(reasons) = 0 and step <> 'day30'
), free as (
    select promotion, code, row_number() over (partition by promotion order by code) as place
    from (select promotion, count(*) as needed from needs group by promotion) demand
    cross join lateral (
        select c.code from raw.coupon_codes c
        where c.promotion = demand.promotion and c.loaded_at <= %(clock)s and c.expires_at is null
            and not exists (select from outbox.coupon_grant g where g.code = c.code and g.released_at is null)
        order by c.code limit demand.needed
    ) pool
)
select contact_id, step, episode_on, promotion, code from needs join free using (promotion, place)
"""

DIFFERENCES = {
    "cohorts": """
        (select days, contact_id from by_hand_cohorts except (
            select 30, contact_id from cohorts.dormant_at_30 where as_of = %(as_of)s
            union all select 60, contact_id from cohorts.dormant_at_60 where as_of = %(as_of)s
            union all select 90, contact_id from cohorts.dormant_at_90 where as_of = %(as_of)s))
        union all (
            (select 30, contact_id from cohorts.dormant_at_30 where as_of = %(as_of)s
            union all select 60, contact_id from cohorts.dormant_at_60 where as_of = %(as_of)s
            union all select 90, contact_id from cohorts.dormant_at_90 where as_of = %(as_of)s)
            except select days, contact_id from by_hand_cohorts)""",
    "decisions": """
        select contact_id, step, hand.reasons, ours.reasons, decision
        from by_hand_decisions hand
        full join (select * from cohorts.fct_decisions where run_id = %(run_id)s) ours
            using (contact_id, step, episode_on)
        where hand.reasons is distinct from ours.reasons""",
    "allocations": """
        select contact_id, step, hand.code, ours.code
        from by_hand_allocations hand
        full join (select * from allocations.coupon_allocations where run_id = %(run_id)s) ours
            using (contact_id, step, episode_on)
        where hand.code is distinct from ours.code""",
}


def run(quick: bool) -> list[Figure]:
    """Database time of our models over that of the three statements; the whole build's beside it, not judged."""
    it = shop(LARGE, quick)
    day = it.advance()
    as_of = day.as_of
    ours, whole, by_hand = [], [], []
    with psycopg.connect(it.url, autocommit=True) as connection:
        for _ in range(REPETITIONS):
            day.run(it.url, "build")
            whole.append(day.database["build"].total)
            ours.append(select(it.url, *SELECTED).total)
            row = connection.execute(
                "select run_id, clock from outbox.run join outbox.run_day using (run_id, clock)"
                " where as_of = %s and state = 'built'",
                [as_of],
            ).fetchone()
            assert row is not None, "the build left no run"
            values = {"as_of": as_of, "run_id": row[0], "clock": row[1]}
            with database_time(it.url) as spent:
                for statement in (COHORTS, DECISIONS, "analyze by_hand_decisions", ALLOCATIONS):
                    connection.execute(statement, values)
            by_hand.append(spent.total)
            for name, difference in DIFFERENCES.items():
                rows = connection.execute(difference, values).fetchall()
                assert not rows, f"{len(rows)} {name} differ, such as {rows[:3]}"
            decided, allocated = (
                connection.execute(f"select count(*) from by_hand_{name}").fetchone()
                for name in ("decisions", "allocations")
            )
            connection.execute("drop table by_hand_cohorts, by_hand_decisions, by_hand_allocations")
    # The models that were run by themselves took the hand-off along; and a day that is left unfinished brings the next
    # one two days' people, more than the campaign's budget allows.
    day.run(it.url, "build", "gate", "enqueue")
    it.accept(day)
    sizes = {"decisions": (decided or (0,))[0], "allocations": (allocated or (0,))[0]}
    seconds = {
        "by hand, database seconds": spread(by_hand),
        "our models, database seconds": spread(ours),
        "whole build, database seconds": spread(whole),
    }
    return [
        Figure(
            "cohorts, decisions, allocations: our models over three statements",
            median(ours) / median(by_hand),
            LIMIT,
            measured={**sizes, **seconds},
            summary=f"{median(ours):.2f} s and {median(by_hand):.2f} s, {sizes['decisions']:,} decisions",
        ),
        Figure(
            "the whole build (tests, recommendations, hand-off, reports) over the same three statements",
            median(whole) / median(by_hand),
            None,
            measured={**sizes, **seconds},
            summary=f"{median(whole):.2f} s and {median(by_hand):.2f} s",
        ),
    ]
