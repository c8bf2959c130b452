with notices as (
    select * from {{ source('outbox', 'notice') }}
),

final as (
    select
        id as notice_id,
        kind,
        subject,
        title,
        body,
        state,
        on_day,
        raised_at,
        accepted_at
    from notices
)

select * from final
