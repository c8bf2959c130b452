-- Hours by the place where a person lives: a campaign's hours, or those its definition gives their country or region.

-- The regions of the federations whose states make such rules: elsewhere any well-formed code is one.
create table outbox.region (
    code text primary key
);
insert into outbox.region (code)
select country || '-' || part
from (
    values
        ('AU', array[
            'ACT', 'NSW', 'NT', 'QLD', 'SA', 'TAS', 'VIC', 'WA'
        ]),
        ('CA', array[
            'AB', 'BC', 'MB', 'NB', 'NL', 'NS', 'NT', 'NU', 'ON', 'PE', 'QC', 'SK', 'YT'
        ]),
        ('US', array[
            'AK', 'AL', 'AR', 'AS', 'AZ', 'CA', 'CO', 'CT', 'DC', 'DE', 'FL', 'GA', 'GU', 'HI', 'IA', 'ID', 'IL',
            'IN', 'KS', 'KY', 'LA', 'MA', 'MD', 'ME', 'MI', 'MN', 'MO', 'MP', 'MS', 'MT', 'NC', 'ND', 'NE', 'NH',
            'NJ', 'NM', 'NV', 'NY', 'OH', 'OK', 'OR', 'PA', 'PR', 'RI', 'SC', 'SD', 'TN', 'TX', 'UM', 'UT', 'VA',
            'VI', 'VT', 'WA', 'WI', 'WV', 'WY'
        ])
) as listed (country, parts)
cross join unnest(parts) as part;

create trigger no_delete before delete on outbox.region for each row execute function outbox.refuse_erasure();
create trigger no_truncate before truncate on outbox.region for each statement execute function outbox.refuse_erasure();
grant select on outbox.region to winback_sender, winback_dbt, winback_analyst;

-- A person's country: as raw.contacts says; what it says before the hyphen of a region; the one their zone lies in. Null: not known.
create function outbox.country_of(person_country text, person_region text, person_zone text) returns text
language sql stable parallel safe
as $$
    select coalesce(
        (select c.country from outbox.country_zone c where c.country = upper(btrim(person_country)) limit 1),
        (select c.country from outbox.country_zone c where c.country = substring(upper(btrim(person_region)) from '^([A-Z]{2})-') limit 1),
        (select c.country from outbox.country_zone c where c.zone = btrim(person_zone) limit 1)
    )
$$;

-- The code of a person's region: FL, us-fl and US-FL are one to who lives in the US. Null: not known, or of another country.
create function outbox.region_of(person_region text, country text) returns text
language sql stable parallel safe
as $$
    select written.code
    from (
        select case when region like '%-%' then region else country || '-' || region end as code
        from (select upper(btrim(person_region)) as region) as trimmed
    ) as written
    where written.code ~ ('^' || country || '-[A-Z0-9]{1,3}$')
        and (
            not exists (select from outbox.region r where r.code like country || '-%')
            or exists (select from outbox.region r where r.code = written.code)
        )
$$;

-- The hours of a channel that hold for a person where a definition knows places: their region's, else their country's, else everybody's.
-- What is not known of a person makes it stricter, never looser: hours then have to allow a message in every region of the
-- country, and without a country in every place there is. Places that never agree leave no hour open.
create function outbox.hours_by_place(
    hours jsonb, channel text, person_country text, person_region text, person_zone text
) returns time[]
language sql stable parallel safe
as $$
    with person as (
        select lived.country, outbox.region_of(person_region, lived.country) as region
        from (select outbox.country_of(person_country, person_region, person_zone) as country) as lived
    ),
    applying as (
        select coalesce(
            hours #> array['places', person.region, channel],
            hours #> array['places', person.country, channel],
            hours -> channel
        ) as span
        from person
        union all
        select listed.body -> channel
        from person
        cross join jsonb_each(hours -> 'places') as listed (place, body)
        where person.country is null or (person.region is null and listed.place like person.country || '-%')
    )
    select array[max(opens), greatest(min(closes), max(opens))]
    from (select (span ->> 0)::time as opens, (span ->> 1)::time as closes from applying) as spans
$$;

-- The same for any definition: opening and closing time, both null where a channel has no hours.
create function outbox.hours_of(
    hours jsonb, channel text, person_country text, person_region text, person_zone text
) returns time[]
language sql stable parallel safe
as $$
    select case
        when hours -> 'places' is null then array[(hours -> channel ->> 0)::time, (hours -> channel ->> 1)::time]
        else outbox.hours_by_place(hours, channel, person_country, person_region, person_zone)
    end
$$;

comment on table outbox.region is 'One row per region whose code is checked: those of AU, CA and US. Any well-formed code will do for another country.';
comment on column outbox.region.code is 'ISO 3166-2, such as US-FL.';
