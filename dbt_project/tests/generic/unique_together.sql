{# Fails with the keys that occur more than once. For relations as large as a day; keys of growing ones are unique indexes. #}
{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
