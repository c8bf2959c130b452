-- Least privilege: the sender writes the ledger, dbt and analysts read it, nobody deletes, nobody reads the key.
grant usage on schema outbox to winback_sender, winback_dbt, winback_analyst;

grant select on all tables in schema outbox to winback_sender, winback_dbt, winback_analyst;
revoke all on outbox.address_key from winback_sender, winback_dbt, winback_analyst;

grant insert on
    outbox.definition, outbox.template, outbox.run, outbox.run_day, outbox.decision, outbox.coupon_grant, outbox.message,
    outbox.attempt, outbox.notice, outbox.notice_attempt, outbox.contact_event, outbox.contact_tag, outbox.suppression
to winback_sender;
grant update on
    outbox.run, outbox.coupon_grant, outbox.message, outbox.attempt, outbox.notice, outbox.notice_attempt,
    outbox.contact_tag, outbox.suppression
to winback_sender;

revoke execute on function outbox.address_hash(text, text) from public;
grant execute on function outbox.address_hash(text, text) to winback_sender, winback_dbt;
