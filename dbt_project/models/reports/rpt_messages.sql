with messages as (
    select * from {{ ref('int_reports__messages') }}
),

final as (
    select
        message_id, run_id, contact_id,
        campaign, step, channel, state, reason, mode, variant, offer, promotion, error_code,
        attempts, segments,
        is_reached,
        as_of, due_on, episode_on,
        planned_at, not_before, not_after, accepted_at, closed_at, delivered_at, bounced_at,
        opened_at, machine_opened_at, clicked_at, unsubscribed_at, complained_at
    from messages
)

select * from final
