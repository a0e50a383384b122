"""The rows of a table are read by the page, whatever their primary key is."""

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from b2fields import B2FileField
from b2fields.holders import Holder, by_page
from tests.legal.models import Contract

MANY = 4500  # more than two pages


def test_every_row_is_read_once(db):
    Contract.objects.bulk_create(Contract(cover=f"covers/{number}.pdf") for number in range(MANY))
    holder = Holder(Contract._meta.get_field("cover"), "default")

    assert sorted(holder.all_named()) == sorted(f"covers/{number}.pdf" for number in range(MANY))


@pytest.mark.parametrize(
    ("rows", "most"),
    [
        pytest.param(MANY, 3, id="three pages"),
        pytest.param(1999, 1, id="a page that is not full is the last"),
    ],
)
def test_so_many_rows_are_so_many_queries(db, django_assert_num_queries, rows, most):
    Contract.objects.bulk_create(Contract(cover=f"covers/{number}.pdf") for number in range(rows))

    with django_assert_num_queries(most):
        assert len(list(by_page(Contract._base_manager.all(), "cover"))) == rows


def test_rows_that_go_and_come_between_two_pages_do_not_shift_the_others(db):
    Contract.objects.bulk_create(Contract(cover=f"covers/{number}.pdf") for number in range(MANY))
    found = by_page(Contract._base_manager.all(), "cover")
    (first, _) = next(found)

    Contract.objects.filter(pk=first).delete()

    assert len(list(found)) == MANY - 1


@pytest.fixture
def table(transactional_db):
    """Create a table of volumes and their pages."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE legal_leaf (volume integer, number integer, scan varchar(100))")
        yield cursor
        cursor.execute("DROP TABLE legal_leaf")


def fill(cursor, rows):
    cursor.executemany("INSERT INTO legal_leaf VALUES (%s, %s, %s)", rows)


@isolate_apps("tests.legal")
def test_a_primary_key_of_several_columns_is_followed(table):
    class Leaf(models.Model):
        pk = models.CompositePrimaryKey("volume", "number")
        volume = models.IntegerField()
        number = models.IntegerField()
        scan = B2FileField()

        class Meta:
            app_label = "legal"

    # More leaves of each volume than a page has rows.
    fill(table, [(number % 2, number, f"{number}.pdf") for number in range(MANY)])
    holder = Holder(Leaf._meta.get_field("scan"), "default")

    assert sorted(holder.all_named()) == sorted(f"{number}.pdf" for number in range(MANY))


@isolate_apps("tests.legal")
def test_a_view_need_not_have_the_primary_key_that_its_model_says(table):
    class Leaf(models.Model):
        volume = models.IntegerField(primary_key=True)
        scan = B2FileField()

        class Meta:
            app_label = "legal"
            managed = False

    fill(table, [(number % 2 or None, number, f"{number}.pdf") for number in range(MANY)])
    holder = Holder(Leaf._meta.get_field("scan"), "default")

    assert sorted(holder.all_named()) == sorted(f"{number}.pdf" for number in range(MANY))
