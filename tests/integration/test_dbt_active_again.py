"""Signs of life between the decision and the claim, in a campaign that any activity cancels: they stop its messages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.integration import dbt_definition
from tests.integration.dbt_days import at, begin, build, contact, database, enqueue, insert, order
from warehouse.connect import Role, connect

pytestmark = pytest.mark.slow

Sign = Callable[[psycopg.Connection, str], None]
SEEN_AT = at("2017-10-01", "07:00")


@pytest.fixture(scope="module")
def planned(postgres: str, template_database: str) -> Iterator[psycopg.Connection]:
    """One message of the reactivation is planned, to `quiet`; `same_mail` turned out to be the same person since."""
    with database(postgres, template_database), connect(Role.OWNER) as connection:
        connection.autocommit = True
        for contact_id in ("quiet", "stranger"):
            contact(connection, contact_id)
        order(connection, "o-quiet", "quiet", at("2017-07-03"))
        run_id = begin(connection, "2017-10-01", definitions=[dbt_definition.reactivation()])
        build()
        enqueue(connection, run_id, accepted=False)
        contact(connection, "same_mail", email=" Quiet@Example.com")
        assert connection.execute("select contact_id, step, state from outbox.message").fetchall() == [
            ("quiet", "first_email", "planned")
        ]
        yield connection


def visit(connection: psycopg.Connection, contact_id: str) -> None:
    insert(connection, "raw.site_visits", visit_id="v", contact_id=contact_id, visited_at=SEEN_AT)


def engagement(kind: str, *, is_machine: bool) -> Sign:
    """In the mail of another system."""

    def sign(connection: psycopg.Connection, contact_id: str) -> None:
        insert(
            connection, "raw.engagements", engagement_id="e", contact_id=contact_id, kind=kind, channel="email",
            is_machine=is_machine, occurred_at=SEEN_AT,
        )  # fmt: skip

    return sign


def reaction(kind: str, *, is_machine: bool) -> Sign:
    """To an earlier mail of ours."""

    def sign(connection: psycopg.Connection, contact_id: str) -> None:
        earlier = uuid.uuid4()
        connection.execute(
            "insert into outbox.message select (jsonb_populate_record(m, jsonb_build_object("
            " 'id', %s::text, 'contact_id', %s::text, 'step', 'long_ago', 'episode_on', '2017-01-01'))).*"
            " from outbox.message m",
            [earlier, contact_id],
        )
        insert(
            connection, "events.engagement_event", event_key="k", call_id=uuid.uuid4(), provider="sandbox",
            channel="email", message_id=earlier, kind=kind, is_machine=is_machine, occurred_at=SEEN_AT,
            received_at=SEEN_AT,
        )  # fmt: skip

    return sign


def stopped(connection: psycopg.Connection, contact_id: str, sign: Sign) -> list[tuple[object, ...]]:
    """What stops the planned message once the contact has given the sign, which is taken back."""
    try:
        with connection.transaction(force_rollback=True):
            sign(connection, contact_id)
            return connection.execute(
                "select s.channel, s.reason, s.happened_at from handoff.send_stops s"
                " join outbox.message m on m.id = s.message_id where m.step = 'first_email'"
            ).fetchall()
    finally:
        assert connection.execute("select count(*) from outbox.message").fetchall() == [(1,)]


SIGNS = {
    "a visit": visit,
    "an open": engagement("opened", is_machine=False),
    "a click": engagement("clicked", is_machine=False),
    "an open of our earlier mail": reaction("opened", is_machine=False),
    "a click in our earlier mail": reaction("clicked", is_machine=False),
}
MACHINES = {
    "in another mail": engagement("opened", is_machine=True),
    "in our earlier mail": reaction("opened", is_machine=True),
}


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
@pytest.mark.parametrize("contact_id", ["quiet", "same_mail"])
def test_a_sign_of_life_of_any_contact_of_the_person_stops_the_message(
    planned: psycopg.Connection, contact_id: str, sign: Sign
) -> None:
    assert stopped(planned, contact_id, sign) == [(None, "active_again", SEEN_AT)]


@pytest.mark.parametrize("sign", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("contact_id", ["quiet", "same_mail"])
def test_a_machine_that_opens_is_no_sign_of_life(planned: psycopg.Connection, contact_id: str, sign: Sign) -> None:
    assert stopped(planned, contact_id, sign) == []


@pytest.mark.parametrize("sign", SIGNS.values(), ids=SIGNS)
def test_a_sign_of_life_of_somebody_else_stops_nothing(planned: psycopg.Connection, sign: Sign) -> None:
    assert stopped(planned, "stranger", sign) == []
