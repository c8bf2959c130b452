-- The raw contract: what a user's loader fills. Only what is missing is made; an existing table or view is left as it is.
-- Supersedes 964fb8c225cd938f33db2df77c17502c8717cd608e6436b94d46449326c9a741, which refused views.
create schema if not exists raw;

create table if not exists raw.contacts (
    contact_id text primary key,
    email text,
    phone text,
    first_name text,
    country text,
    region text,
    timezone text,
    locale text,
    consent_email boolean,
    consent_email_at timestamptz,
    consent_email_source text,
    consent_email_text_version text,
    consent_sms boolean,
    consent_sms_at timestamptz,
    consent_sms_source text,
    consent_sms_text_version text,
    created_at timestamptz,
    updated_at timestamptz
);

create table if not exists raw.web_push_subscriptions (
    endpoint text primary key,
    contact_id text not null,
    p256dh text not null,
    auth text not null,
    subscribed_at timestamptz not null
);

create table if not exists raw.orders (
    order_id text primary key,
    contact_id text not null,
    ordered_at timestamptz not null,
    status text not null,
    total numeric not null,
    refunded_total numeric,
    currency text not null,
    coupon_code text,
    updated_at timestamptz not null
);

create table if not exists raw.order_items (
    order_id text not null,
    line_number integer not null,
    product_id text not null,
    quantity numeric not null,
    unit_price numeric not null
);

create table if not exists raw.products (
    product_id text primary key,
    name text not null,
    category text,
    price numeric,
    image_url text,
    product_url text,
    in_stock boolean,
    launched_at timestamptz,
    updated_at timestamptz
);

create table if not exists raw.site_visits (
    visit_id text primary key,
    contact_id text not null,
    visited_at timestamptz not null
);

create table if not exists raw.engagements (
    engagement_id text primary key,
    contact_id text not null,
    kind text not null,
    channel text not null,
    is_machine boolean not null default false,
    occurred_at timestamptz not null
);

create table if not exists raw.coupon_codes (
    promotion text not null,
    code text primary key,
    expires_at timestamptz,
    loaded_at timestamptz not null default now()
);

create table if not exists raw.campaign_sends (
    contact_id text not null,
    campaign text not null,
    channel text not null,
    sent_at timestamptz not null
);

create table if not exists raw.loads (
    table_name text primary key,
    complete_through timestamptz not null
);

create table if not exists raw.provider_events (
    provider text not null,
    received_at timestamptz not null,
    headers jsonb not null default '{}',
    body text not null
);

-- The indexes that keep the daily run at the cost of the day. One is made where no index begins with those columns,
-- so that a user's own index is not doubled; a missing column is left to `winback ready`, which names it.
do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('contacts', 'updated_at', 'updated_at'),
            ('contacts', 'email', 'lower(btrim(email))'),
            ('contacts', 'phone', 'phone'),
            ('web_push_subscriptions', 'contact_id', 'contact_id, subscribed_at'),
            ('orders', 'updated_at', 'updated_at'),
            ('orders', 'ordered_at', 'ordered_at'),
            ('orders', 'contact_id', 'contact_id, ordered_at'),
            ('orders', 'coupon_code', 'coupon_code'),
            ('order_items', 'order_id', 'order_id'),
            ('site_visits', 'contact_id', 'contact_id, visited_at'),
            ('site_visits', 'visited_at', 'visited_at'),
            ('engagements', 'contact_id', 'contact_id, occurred_at'),
            ('engagements', 'occurred_at', 'occurred_at'),
            ('coupon_codes', 'promotion', 'promotion, code'),
            ('campaign_sends', 'contact_id', 'contact_id, sent_at'),
            ('provider_events', 'received_at', 'received_at')
        ) as listed (table_name, first_column, expression)
    loop
        if exists (
            select from information_schema.columns
            where table_schema = 'raw' and table_name = wanted.table_name and column_name = wanted.first_column
        ) then
            begin
                execute format(
                    'create index if not exists %I on raw.%I (%s)',
                    'winback_' || wanted.table_name || '_' || wanted.first_column, wanted.table_name, wanted.expression
                );
            exception when undefined_column then
                raise notice 'raw.%: no index on (%), a column is missing', wanted.table_name, wanted.expression;
            when wrong_object_type then
                raise notice 'raw.%: no index on (%), it is a view: index what lies under it', wanted.table_name, wanted.expression;
            end;
        end if;
    end loop;
end
$$;

grant usage on schema raw to winback_dbt;
grant select on all tables in schema raw to winback_dbt;
alter default privileges in schema raw grant select on tables to winback_dbt;

grant usage on schema raw to winback_sender;
grant select on raw.loads to winback_sender;
