"""Receivers of ``pre_cleanup`` and ``post_cleanup`` have their say in what ``b2_audit`` removes."""

import threading

import pytest

from b2fields import B2Storage, signals
from b2fields.audit import remove
from tests.auditing.running import audit
from tests.auditing.stored import drop, keep
from tests.legal.models import Contract, Deed, Report


@pytest.fixture
def connect():
    """Connect receivers for the time of the test."""
    connected = []

    def connect(signal, receiver, sender=None):
        signal.connect(receiver, sender=sender, weak=False)
        connected.append((signal, receiver, sender))

    yield connect
    for signal, receiver, sender in connected:
        signal.disconnect(receiver, sender=sender)


@pytest.fixture
def told(connect):
    """What both signals told, in order."""
    told = []
    for moment in ("pre", "post"):

        def receive(moment=moment, **arguments):
            told.append((moment, arguments))

        connect(getattr(signals, f"{moment}_cleanup"), receive)
    return told


@pytest.mark.parametrize("flag", ["--delete", "--hide"])
def test_a_receiver_that_returns_false_keeps_an_orphan(stored, connect, flag):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/draft.pdf", "covers/lost.pdf")
    connect(signals.pre_cleanup, lambda name, **_: name != "covers/draft.pdf", sender=Contract)

    found = audit(flag)

    outcome = {"--delete": "deleted", "--hide": "hidden"}[flag]
    assert found.names("orphan", "kept") == ["covers/draft.pdf"]
    assert found.names("orphan", outcome) == ["covers/lost.pdf"]
    assert stored.versions().count("covers/draft.pdf") == 1
    assert found.status == 1


def test_a_receiver_that_raises_keeps_its_file_and_no_other(stored, connect):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/draft.pdf", "covers/lost.pdf")

    def fail(name, **_):
        if name == "covers/draft.pdf":
            raise ValueError("out of order")

    connect(signals.pre_cleanup, fail)

    found = audit("--delete")

    assert found.names("orphan", "deleted") == ["covers/lost.pdf"]
    [failed] = [each for each in found.findings if each["outcome"] == "failed"]
    assert failed["reason"] == "a receiver of pre_cleanup raised ValueError('out of order')"
    assert (found.status, found.document["stopped"]) == (2, [])
    assert "covers/draft.pdf" in stored.versions()


def test_receivers_are_told_what_cleanup_tells_them(stored, told):
    keep(stored, "covers/a.pdf")
    stored.put("vault/lost.pdf")

    audit("--delete")

    field = Deed._meta.get_field("file")
    assert [moment for moment, _ in told] == ["pre", "post"]
    for _, arguments in told:
        file = arguments.pop("file")
        assert (file.name, file.field, file.instance) == ("lost.pdf", field, None)
        del arguments["signal"]
        assert arguments == {"sender": Deed, "field": field, "name": "lost.pdf", "storage": field.storage}


def test_the_field_is_that_with_the_innermost_place(stored, told):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("minutes/lost.pdf")

    audit("--delete")

    assert [arguments["field"].name for _, arguments in told] == ["minutes", "minutes"]


def test_of_fields_that_share_a_place_none_is_told(stored, told):
    lost = "8fA0bC1dE2fG3hI4jK5lM6/lost.pdf"
    keep(stored, "covers/a.pdf")
    stored.put(lost)

    audit("--delete")

    for _, arguments in told:
        assert (arguments["sender"], arguments["field"], arguments["file"]) == (None, None, None)
        assert (arguments["name"], arguments["storage"].bucket) == (lost, B2Storage().bucket)
    assert len(told) == 2


def test_the_file_can_be_read_before_and_is_gone_after(stored, connect):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    seen = []
    connect(signals.pre_cleanup, lambda file, **_: seen.append(file.read()))
    connect(signals.post_cleanup, lambda storage, name, **_: seen.append(storage.exists(name)))

    audit("--delete")

    assert seen == [b"bytes", False]


def test_thumbnails_go_along(stored, connect, settings):
    settings.STORAGES = {
        **settings.STORAGES,
        "thumbnails": {"BACKEND": "b2fields.B2Storage", "OPTIONS": {"location": "thumbs"}},
    }
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.png", "thumbs/lost.png")
    thumbnails = B2Storage(location="thumbs")
    connect(signals.pre_cleanup, lambda file, **_: thumbnails.delete(file.name.rpartition("/")[2]))

    audit("--delete")

    assert stored.versions() == ["covers/a.pdf"]


def test_receivers_run_in_the_thread_of_the_command(stored, connect):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    threads = set()
    for signal in (signals.pre_cleanup, signals.post_cleanup):
        connect(signal, lambda **_: threads.add(threading.current_thread()))

    audit("--delete")

    assert threads == {threading.current_thread()}


def test_nobody_is_told_of_what_is_not_removed(stored, told):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf")
    stored.begin("covers/large.bin")

    audit()

    assert told == []


def test_nobody_is_asked_about_a_file_that_a_row_names_in_the_meantime(survey, told):
    Report.objects.create(file="covers/lost.pdf")

    list(remove(survey))

    assert told == []


@pytest.mark.parametrize(
    "take", [lambda: Report.objects.create(file="covers/lost.pdf"), lambda: drop("covers/lost.pdf")]
)
def test_a_row_that_takes_the_file_while_receivers_are_asked_keeps_it(survey, stored, connect, told, take):
    connect(signals.pre_cleanup, lambda **_: take() and None)

    assert [found.outcome for found in remove(survey)] == ["kept"]
    assert "covers/lost.pdf" in stored.versions()
    assert [moment for moment, _ in told] == ["pre"]


def test_nobody_is_told_that_a_file_was_removed_which_b2_did_not_remove(stored, emulator, told):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/lost.pdf", "covers/gone.pdf")
    emulator.fault("b2_delete_file_version", status=401, code="access_denied")

    [deleted] = audit("--delete").names("orphan", "deleted")

    assert [arguments["name"] for moment, arguments in told if moment == "post"] == [deleted]


def test_a_receiver_that_fails_after_the_removal_breaks_nothing(stored, connect):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/gone.pdf", "covers/lost.pdf")
    connect(signals.post_cleanup, lambda **_: 1 / 0)

    assert audit("--delete").names("orphan", "deleted") == ["covers/gone.pdf", "covers/lost.pdf"]
