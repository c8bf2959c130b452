-- A request of a step with a promotion carries the code proposed for it, valid to the offer's end.
select
    requests.campaign,
    requests.step,
    requests.promotion,
    requests.coupon_code
from {{ ref('send_requests') }} as requests
left join {{ ref('coupon_allocations') }} as allocations
    on
        allocations.run_id = requests.run_id
        and allocations.code = requests.coupon_code
        and allocations.contact_id = requests.contact_id
        and allocations.campaign = requests.campaign
        and allocations.step = requests.step
where
    requests.promotion is not null
    and (allocations.code is null or requests.not_after > allocations.valid_until)
