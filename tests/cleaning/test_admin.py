"""The outbox in the admin."""

import pytest
from django.contrib.auth.models import User
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


def test_nothing_there_is_called_deleting(admin_page):
    assert "Delete selected" not in admin_page.get(URL).content.decode()
