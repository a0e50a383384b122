"""What an audit costs, of how many files."""

from b2fields.audit.places import Places
from tests.auditing.running import audit
from tests.legal.models import Contract


def test_an_audit_asks_once_for_a_thousand_files(many):
    with many.counted() as operations:
        found = audit()

    assert found.document["objects"] == 3500
    assert found.document["orphans"] == 100
    assert operations == ["b2_list_file_versions"] * 4 + ["b2_list_unfinished_large_files"]


def test_strangers_are_looked_for_beside_the_places_of_fields_and_not_in_them(many):
    places = Places("many-files", [Contract._meta.get_field("cover")], ())

    with many.counted() as operations:
        assert list(places.strangers()) == []

    assert operations == ["b2_list_file_names"] * 2


def test_missing_files_are_looked_for_by_the_page(many):
    Contract.objects.bulk_create(Contract(cover=f"covers/gone-{number:05}.pdf") for number in range(500))

    with many.counted() as operations:
        found = audit()

    assert len(found.names("missing")) == 500
    assert operations.count("b2_list_file_names") == 1


def test_an_orphan_costs_a_look_and_a_deletion(many):
    with many.counted() as operations:
        audit("--delete")

    assert operations.count("b2_delete_file_version") == 100
    assert operations.count("b2_list_file_versions") == 4 + 100


def test_the_databases_are_not_asked_by_the_name(many, django_assert_max_num_queries):
    with django_assert_max_num_queries(200):
        found = audit("--delete")

    assert len(found.names("orphan", "deleted")) == 100
