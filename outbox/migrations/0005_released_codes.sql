-- Released grants are few, and every build asks how many there are: it must not read all that were ever granted.
create index coupon_grant_released on outbox.coupon_grant (promotion) where released_at is not null;
