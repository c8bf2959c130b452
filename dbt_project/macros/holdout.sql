{# 0 to 100, the same for ever for a person and a campaign: the first 32 bits of a hash, whatever the server or its version. #}
{% macro holdout_place(person_id, campaign) -%}
    (
        ('x' || left(encode(sha256(convert_to({{ campaign }} || ':' || {{ person_id }}, 'UTF8')), 'hex'), 8))::bit(32)::bigint
        * 100.0 / 4294967296
    )
{%- endmacro %}

{# An archived decision that puts a person into one of the two arms: to be written to (at once, or once what held them is over), or held out.
   What held a whole day stands before what the day had decided about a person, a skip among it: nobody enters by that. #}
{% macro is_in_the_trial(decisions) -%}
    {{ decisions }}.mode <> 'shadow'
    and (
        {{ decisions }}.decision in ('send', 'holdout')
        or (
            {{ decisions }}.decision = 'hold'
            and {{ decisions }}.reasons <@ array[
                'gate_failed', 'not_approved', 'pool_dry', 'nothing_to_recommend', 'frequency_cap', 'outranked'
            ]
        )
    )
{%- endmacro %}
