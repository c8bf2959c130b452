-- Rules on handoff.send_requests. {batch} is one campaign's rows of it; a rule fails when its query returns a row.
-- A row is the number 1: nothing about a person leaves the database. :names are filled in by suites.py.
-- handoff.recipients hashes addresses as it is read: it is looked up request by request (offset 0), never joined whole.

-- name: only_this_run
-- Every request belongs to this run, one of its days, and the definition it went by.
select 1 from {batch} as request
where request.run_id <> :run_id
    or request.as_of <> all(:days)
    or request.definition_hash is distinct from :definition_hash

-- name: within_message_budget
-- No more messages than the campaign's budget (messages_per_day) allows for people who fell due on one day. After a held day its people are
-- asked for with the next ones, within their own day's budget. A day above it holds the campaign until the budget is raised or the day's
-- people have become too late (max_late_days).
select 1 from {batch} as request
group by request.as_of, request.due_on
having count(*) > :messages_per_day

-- name: within_grant_budget
-- No more codes than the campaign's budget (grants_per_day) allows for people who fell due on one day. A day above it holds the campaign until
-- the budget is raised or the day's people have become too late (max_late_days).
select 1 from {batch} as request
where request.coupon_code is not null
group by request.as_of, request.due_on
having count(*) > :grants_per_day

-- name: steps_as_defined
-- Each request is for a step that is switched on, with that step's template, width, tag and event.
select 1 from {batch} as request
left join jsonb_to_recordset(:steps) as step (
    key text, enabled boolean, template_hash text, step_days integer, tag text, contact_event text, channels jsonb
) on step.key = request.step
where not :enabled
    or step.enabled is not true
    or request.template_hash is distinct from step.template_hash
    or request.step_days is distinct from step.step_days
    or request.tag is distinct from step.tag
    or request.contact_event is distinct from step.contact_event
    or cardinality(request.channels) = 0
    or not to_jsonb(request.channels) <@ step.channels

-- name: mode_allows_it
-- A live run sends nothing in shadow mode, to nobody off the allowlist, and nothing for a day before live_from.
select 1 from {batch} as request
where :is_live
    and (
        :mode = 'shadow'
        or (:mode = 'allowlist' and request.contact_id <> all(:allowlist))
        or request.due_on < :live_from
    )

-- name: consent_for_each_channel
-- Whoever is to be written to had consented by the run's clock, for the step and for the channel. A change after the clock is
-- the claim's business, one without a time is not known to be.
select 1 from {batch} as request
inner join jsonb_to_recordset(:steps) as step (key text, requires jsonb) on step.key = request.step
left join staging.stg_raw__contacts as contact on contact.contact_id = request.contact_id
where contact.contact_id is null
    or (
        coalesce(contact.updated_at <= :clock, true)
        and (
            (step.requires @> '["consent_email"]' and contact.has_email_consent is not true)
            or (step.requires @> '["consent_sms"]' and contact.has_sms_consent is not true)
            or ('email' = any(request.channels) and contact.has_email_consent is not true)
            or ('sms' = any(request.channels) and contact.has_sms_consent is not true)
        )
    )

-- name: nobody_suppressed
-- No channel of a request leads to an address that was suppressed by the run's clock.
select 1 from {batch} as request
cross join lateral (
    select * from handoff.recipients as listed where listed.contact_id = request.contact_id offset 0
) as recipient
inner join outbox.suppression as suppression
    on suppression.channel = any(request.channels)
    and suppression.address_hash
        = case suppression.channel when 'email' then recipient.email_hash when 'sms' then recipient.phone_hash end
where suppression.suppressed_at < :clock
    and (suppression.lifted_at is null or suppression.lifted_at > :clock)
    and (suppression.until is null or suppression.until > :clock)

-- name: nobody_opted_out
-- Nobody had said no to a channel of a request: through a message to any of the person's contacts, or from an address of theirs. A no
-- holds until a yes; a pause until its end, a yes, or the next pause.
with heard as (
    select
        said.*,
        max(said.occurred_at) filter (where said.kind = 'resubscribed') over by_channel as last_yes_at,
        max(said.occurred_at) filter (where said.kind = 'paused') over by_channel as last_pause_at
    from {batch} as request
    cross join lateral (
        select request.contact_id as member_contact_id
        union
        select person.member_contact_id from customers.int_person_members as person
        where person.contact_id = request.contact_id
    ) as member
    cross join lateral (
        select preference.channel, preference.kind, preference.until, preference.occurred_at
        from outbox.message as earlier
        inner join events.preference as preference on preference.message_id = earlier.id
        where earlier.contact_id = member.member_contact_id
        union all
        select preference.channel, preference.kind, preference.until, preference.occurred_at
        from (
            select * from handoff.recipients as listed where listed.contact_id = member.member_contact_id offset 0
        ) as recipient
        inner join events.preference as preference
            on (preference.channel, preference.address_hash)
                in (('email', recipient.email_hash), ('sms', recipient.phone_hash))
    ) as said
    where said.channel = any(request.channels) and said.occurred_at < :clock
    window by_channel as (partition by request.contact_id, said.channel)
)

select 1 from heard
where coalesce(heard.occurred_at >= heard.last_yes_at, true)
    and (
        heard.kind = 'unsubscribed'
        or (
            heard.kind = 'paused'
            and heard.occurred_at = heard.last_pause_at
            and coalesce(heard.until > :clock, true)
        )
    )

-- name: address_for_each_channel
-- Each channel of a request has a usable address.
select 1 from {batch} as request
left join lateral (
    select * from handoff.recipients as listed where listed.contact_id = request.contact_id offset 0
) as recipient on true
where ('email' = any(request.channels) and recipient.email is null)
    or ('sms' = any(request.channels) and recipient.phone is null)
    or ('webpush' = any(request.channels) and coalesce(jsonb_array_length(recipient.subscriptions), 0) = 0)

-- name: one_person_within_caps
-- No person (contacts that share an e-mail or a phone are one) is asked for more messages a day than caps.per_day, over all campaigns.
with address as (
    select
        request.run_id,
        request.as_of,
        request.campaign,
        request.contact_id,
        request.step,
        spelled.key
    from handoff.send_requests as request
    left join lateral (
        select * from handoff.recipients as listed where listed.contact_id = request.contact_id offset 0
    ) as recipient on true
    cross join lateral (
        values ('contact ' || request.contact_id),
            ('email ' || encode(recipient.email_hash, 'hex')),
            ('phone ' || encode(recipient.phone_hash, 'hex'))
    ) as spelled (key)
    where spelled.key is not null
)

select 1 from address
group by address.as_of, address.key
having count(*) > :messages_per_person and bool_or(address.campaign in (select request.campaign from {batch} as request))

-- name: codes_once
-- No code is promised twice, in whatever campaign.
select 1 from handoff.send_requests as request
where request.coupon_code in (select mine.coupon_code from {batch} as mine)
group by request.coupon_code
having count(*) > 1

-- name: codes_where_promised
-- A step with a promotion carries a code of that promotion's pool, any other step none.
select 1 from {batch} as request
inner join jsonb_to_recordset(:steps) as step (key text, promotion text) on step.key = request.step
left join staging.stg_raw__coupon_codes as pool on pool.code = request.coupon_code
where request.promotion is distinct from step.promotion
    or (step.promotion is null) <> (request.coupon_code is null)
    or (step.promotion is not null and pool.promotion is distinct from step.promotion)

-- name: codes_not_granted_before
-- No code belongs to somebody else, or to another episode, already.
select 1 from {batch} as request
inner join outbox.coupon_grant as held on held.code = request.coupon_code and held.released_at is null
where (held.contact_id, held.campaign, held.episode_on, held.step)
    is distinct from (request.contact_id, request.campaign, request.episode_on, request.step)

-- name: codes_outlive_the_offer
-- A code works until the end of its offer, the offer lasts as long as the campaign says, and longer than its message may wait.
select 1 from {batch} as request
inner join jsonb_each(:promotions) as promotion (name, body) on promotion.name = request.promotion
left join staging.stg_raw__coupon_codes as pool on pool.code = request.coupon_code
where request.valid_until is null
    or request.valid_until < request.not_after
    or request.valid_until < request.not_before + ((promotion.body ->> 'valid_days')::integer - 1) * interval '1 day'
    or pool.expires_at < request.valid_until

-- name: due_and_timely
-- A request is due now or at most max_late_days ago, goes out on its day, and waits for max_late_days and a day for zones at most.
select 1 from {batch} as request
where request.due_on not between request.as_of - :max_late_days and request.as_of
    or request.not_before is null
    or request.not_after is null
    or request.not_before < request.as_of::timestamp at time zone 'UTC' - interval '14 hours'
    or request.not_before > request.as_of::timestamp at time zone 'UTC' + interval '3 days'
    or request.not_after <= request.not_before
    or request.not_after > request.not_before + (:max_late_days + 2) * interval '1 day'

-- name: not_messaged_before
-- Nobody is asked for a message that the same step of the same episode, by its former key, too, has sent, is sending, or holds in doubt.
select 1 from {batch} as request
inner join jsonb_to_recordset(:steps) as step (key text, renamed_from text) on step.key = request.step
inner join outbox.message as earlier
    on earlier.contact_id = request.contact_id
    and earlier.campaign = request.campaign
    and earlier.step in (step.key, step.renamed_from)
where earlier.state not in ('skipped', 'expired', 'rejected')
    and daterange(earlier.episode_on, earlier.episode_on + earlier.step_days)
        && daterange(request.episode_on, request.episode_on + request.step_days)

-- name: follow_ups_have_a_first
-- A step that follows another one follows that one's message of the same episode, accepted before the clock.
select 1 from {batch} as request
inner join jsonb_to_recordset(:steps) as step (key text, after_step text) on step.key = request.step
left join jsonb_to_recordset(:steps) as first_step (key text, renamed_from text) on first_step.key = step.after_step
where step.after_step is not null
    and not exists (
        select from outbox.message as first_one
        where first_one.contact_id = request.contact_id
            and first_one.campaign = request.campaign
            and first_one.step in (first_step.key, first_step.renamed_from)
            and first_one.episode_on = request.episode_on
            and first_one.accepted_at <= :clock
    )

-- name: merge_fields_complete
-- Every variable that the step or its stored template names has a value, the contact's own or the step's, but for those that are filled in when the message leaves.
with steps as (
    select * from jsonb_to_recordset(:steps) as step (key text, template_hash text, variables jsonb, merge_fields jsonb)
),

variables as (
    select step.key as step, step.merge_fields, variable.name
    from steps as step
    cross join lateral jsonb_array_elements_text(step.variables) as variable (name)
    union
    select step.key, step.merge_fields, found.match[1]
    from steps as step
    inner join outbox.template as template on template.template_hash = step.template_hash
    cross join lateral regexp_matches(
        concat_ws(' ', template.subject, template.html, template.text, template.sms, template.push::text),
        '\{\{\s*(\w+)\s*\}\}', 'g'
    ) as found (match)
)

select 1 from {batch} as request
inner join variables on variables.step = request.step
where variables.name <> all(:filled_in_later)
    and coalesce(btrim((coalesce(variables.merge_fields, '{}') || request.merge_fields) ->> variables.name), '') = ''

-- name: template_is_stored
-- What a request says is in outbox.template, word for word.
select 1 from {batch} as request
where not exists (
    select from outbox.template as template where template.template_hash = request.template_hash
)

-- name: no_address_in_merge_fields
-- What is stored with a message holds nobody's e-mail address or phone.
select 1 from {batch} as request
cross join lateral (
    select * from handoff.recipients as listed where listed.contact_id = request.contact_id offset 0
) as recipient
where position(lower(recipient.email) in lower(request.merge_fields::text)) > 0
    or position(recipient.phone in request.merge_fields::text) > 0
