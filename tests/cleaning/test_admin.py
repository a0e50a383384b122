"""The outbox in the admin."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.utils import timezone

from b2fields.models import DroppedFile
from tests.cleaning.conftest import upload
from tests.cleaning.models import Note

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin_page(client, emulator, settings):
    settings.B2FIELDS_CLEANUP_DELAY = 3600
    client.force_login(User.objects.create_superuser("admin"))
    Note.objects.create(scan=upload("waiting.txt")).delete()
    return client


URL = "/admin/b2fields/droppedfile/"


def act(client, action):
    pks = list(DroppedFile.objects.values_list("pk", flat=True))
    return client.post(URL, {"action": action, "_selected_action": pks}, follow=True).content.decode()


def test_what_waits_is_shown(admin_page, emulator):
    with emulator.counted() as operations:
        page = admin_page.get(URL).content.decode()
    assert "waiting.txt" in page
    assert "Keep the selected files in B2" in page
    assert operations == []


def test_one_entry_is_shown_and_not_changed(admin_page):
    page = admin_page.get(f"{URL}{DroppedFile.objects.get().pk}/change/").content.decode()
    assert "waiting.txt" in page
    assert 'name="_save"' not in page
    assert admin_page.get(f"{URL}add/").status_code == 403


def test_files_can_be_kept(admin_page, names):
    assert "1 file stays in B2" in act(admin_page, "delete_selected")
    assert not DroppedFile.objects.exists()
    assert len(names()) == 1


def test_files_that_are_not_due_cannot_be_removed(admin_page, names):
    assert "0 removed" in act(admin_page, "remove_now")
    assert len(names()) == 1


def test_files_that_are_due_can_be_removed_now(admin_page, names):
    DroppedFile.objects.update(due=timezone.now())
    assert "1 removed" in act(admin_page, "remove_now")
    assert names() == set()


def test_within_the_transaction_of_a_request_they_are_removed_at_its_end(admin_page, names, monkeypatch):
    DroppedFile.objects.update(due=timezone.now())
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert "when this request is committed" in act(admin_page, "remove_now")
    assert names() == set()


def test_nothing_there_is_called_deleting(admin_page):
    assert "Delete selected" not in admin_page.get(URL).content.decode()
    page = f"{URL}{DroppedFile.objects.get().pk}/"
    assert "deletelink" not in admin_page.get(f"{page}change/").content.decode()
    assert admin_page.post(f"{page}delete/", {"post": "yes"}).status_code == 403


def test_who_may_not_delete_entries_may_only_look(admin_page, client):
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_droppedfile"))
    client.force_login(user)
    assert "Keep the selected" not in client.get(URL).content.decode()
