{# 0 to 100, the same for ever for a person and a campaign: the first 32 bits of a hash, whatever the server or its version. #}
{% macro holdout_place(person_id, campaign) -%}
    (
        ('x' || left(encode(sha256(convert_to({{ campaign }} || ':' || {{ person_id }}, 'UTF8')), 'hex'), 8))::bit(32)::bigint
        * 100.0 / 4294967296
    )
{%- endmacro %}
