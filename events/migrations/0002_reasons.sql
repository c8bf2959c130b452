-- Why a call was refused, in words; and two more verdicts. Still inserts only.
alter table events.webhook_call add column reason text;
alter table events.webhook_call drop constraint webhook_call_verdict_check;
alter table events.webhook_call add constraint webhook_call_verdict_check check (verdict in (
    'verified', 'unsigned', 'wrong_signature', 'stale', 'malformed', 'oversized',
    'unverifiable'                          -- no key to judge by: refused, the provider tries again
));
