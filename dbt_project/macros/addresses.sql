{# Syntax only: whether an address exists is the provider's to say. The local part has at most 64 characters, the whole at most 254
   (RFC 5321); quoted local parts and address literals are refused. No counted repetition in the pattern: it costs PostgreSQL a hundred
   times as much to match. #}
{% macro is_email(email) -%}
    (
        length(btrim({{ email }})) <= 254
        and length(split_part(btrim({{ email }}), '@', 1)) <= 64
        and btrim({{ email }}) ~* '^[a-z0-9!#$%&''*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&''*+/=?^_`{|}~-]+)*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]([a-z0-9-]*[a-z0-9])$'
    )
{%- endmacro %}

{# E.164: a plus sign and at most 15 digits, the first not 0; the shortest numbers in use have 7. #}
{% macro is_phone(phone) -%}
    (btrim({{ phone }}) ~ '^\+[1-9][0-9]+$' and length(btrim({{ phone }})) between 8 and 16)
{%- endmacro %}

{# Whether an entry of the stop list is about its address alone (it is dead), not about what the person wants. #}
{% macro is_about_address(reason) -%}
    {{ reason }} in ('bounced', 'undeliverable', 'invalid', 'gone')
{%- endmacro %}

{% macro email_key(email) -%}
    lower(btrim({{ email }}))
{%- endmacro %}

{% macro phone_key(phone) -%}
    btrim({{ phone }})
{%- endmacro %}
