-- What psql's \d+ says of the raw contract. A comment of the loader's own is left as it is.
do $$
declare
    said record;
    kind "char";
    present oid;
begin
    for said in
        select * from (values
            ('contacts', null, 'One row per person you may write to. Contacts that share an e-mail address or a phone are one person.'),
            ('contacts', 'contact_id', 'The key that orders, visits, decisions and messages carry.'),
            ('contacts', 'phone', 'E.164, such as +12125550123. Anything else is decided invalid_address and counted.'),
            ('contacts', 'first_name', 'Read when a message leaves, never stored with it. Empty: the greeting says "there".'),
            ('contacts', 'country', 'ISO 3166, two letters. Where the zone is not known, hours hold in all zones of the country.'),
            ('contacts', 'timezone', 'IANA, such as America/New_York. Unknown: the campaign''s zone and the country''s together.'),
            ('contacts', 'consent_email', 'May be e-mailed. Null counts as no.'),
            ('contacts', 'consent_email_at', 'When they agreed; evidence, frozen with each message.'),
            ('contacts', 'consent_email_source', 'Where they agreed: a form, a till, an import.'),
            ('contacts', 'consent_email_text_version', 'Which wording they agreed to.'),
            ('contacts', 'consent_sms', 'May be texted. Null counts as no.'),
            ('contacts', 'consent_sms_at', 'When they agreed; evidence, frozen with each message.'),
            ('contacts', 'consent_sms_source', 'Where they agreed: a form, a till, an import.'),
            ('contacts', 'consent_sms_text_version', 'Which wording they agreed to.'),
            ('contacts', 'created_at', 'Starts the clock of who never did anything.'),
            ('contacts', 'updated_at', 'Moves with every change: how a change is found without reading everything.'),
            ('web_push_subscriptions', null, 'One row per browser that said yes to push messages. May be empty.'),
            ('web_push_subscriptions', 'endpoint', 'The URL of the browser''s push service: its address.'),
            ('web_push_subscriptions', 'p256dh', 'The browser''s public key (RFC 8291), base64url.'),
            ('web_push_subscriptions', 'auth', 'The browser''s authentication secret (RFC 8291), base64url.'),
            ('orders', null, 'One row per order. A purchase is an order that is not cancelled; a refunded one keeps the clock and loses its revenue.'),
            ('orders', 'ordered_at', 'When it was placed: a late order counts from here, not from its load.'),
            ('orders', 'status', 'completed, cancelled or refunded.'),
            ('orders', 'total', 'What was paid, in the order''s currency. Currencies are never added up.'),
            ('orders', 'refunded_total', 'What was paid back; of a refunded order all of it where this is empty.'),
            ('orders', 'currency', 'ISO 4217, three letters.'),
            ('orders', 'coupon_code', 'The code that was redeemed: ties an order to the message that carried it.'),
            ('orders', 'updated_at', 'Moves with every change: how a late, cancelled or refunded order is found.'),
            ('order_items', null, 'One row per line of an order. May be empty: recommendations are then bestsellers or nothing.'),
            ('order_items', 'unit_price', 'Of one piece, in the order''s currency.'),
            ('products', null, 'One row per product. Only one with a picture, a page and stock is recommended. May be empty.'),
            ('products', 'price', 'Shown in messages, in the shop''s currency.'),
            ('products', 'image_url', 'Its picture. Empty: never recommended.'),
            ('products', 'product_url', 'Its page. Empty: never recommended.'),
            ('products', 'in_stock', 'False: not recommended. Null: nobody keeps count, so it is.'),
            ('products', 'launched_at', 'From when on it could be bought: nobody is recommended what did not exist on the day.'),
            ('site_visits', null, 'One row per visit to the shop''s site. May be empty; part of a contact''s last activity.'),
            ('engagements', null, 'One row per open or click of other systems'' mail. May be empty; part of a contact''s last activity.'),
            ('engagements', 'kind', 'opened or clicked.'),
            ('engagements', 'is_machine', 'True: a scanner or a privacy proxy opened it. Never counts.'),
            ('coupon_codes', null, 'One row per unique code. One code belongs to one person, for ever.'),
            ('coupon_codes', 'promotion', 'The pool, as a campaign file names it.'),
            ('coupon_codes', 'expires_at', 'The shop stops taking it. Empty: never.'),
            ('campaign_sends', null, 'One row per message of other systems, past or scheduled: frequency caps count them. May be empty.'),
            ('loads', null, 'One row per table that the loader vouches for. A run waits until orders, contacts and engagements are complete.'),
            ('loads', 'table_name', 'As it is called here: orders, not raw.orders.'),
            ('loads', 'complete_through', 'Everything before this instant is there.'),
            ('provider_events', null, 'One row per webhook landed by other means, where no endpoint may be public. May be empty.'),
            ('provider_events', 'headers', 'The call''s headers: the signature is checked as if it had just come in.'),
            ('provider_events', 'body', 'The call''s body, byte for byte: a signature is over bytes.')
        ) as listed (table_name, column_name, words)
    loop
        select c.oid, c.relkind into present, kind
        from pg_class as c
        where c.oid = to_regclass(format('raw.%I', said.table_name));
        continue when present is null;
        if said.column_name is null then
            if obj_description(present, 'pg_class') is null then
                execute format(
                    'comment on %s raw.%I is %L',
                    case kind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table' else 'table' end,
                    said.table_name, said.words
                );
            end if;
        elsif exists (
            select from pg_attribute as a
            where a.attrelid = present
                and a.attname = said.column_name
                and not a.attisdropped
                and col_description(present, a.attnum) is null
        ) then
            execute format('comment on column raw.%I.%I is %L', said.table_name, said.column_name, said.words);
        end if;
    end loop;
end
$$;

comment on table winback.migration is 'One row per migration file that was applied here.';
