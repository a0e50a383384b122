"""How ``manage.py b2_audit`` talks."""

import io
import sys
import time

import pytest
from django.core.management import CommandError, call_command

from b2fields import B2Storage
from b2fields.progress import progress
from tests.auditing.stored import keep
from tests.legal.models import Contract, Report


def test_a_dry_run_prints_names_and_reasons(stored, capsys):
    keep(stored, "covers/a.pdf", "covers/b.pdf")
    stored.put("covers/\u202efdp.exe")
    row = Contract.objects.create(cover="covers/gone.pdf")

    with pytest.raises(SystemExit):
        call_command("b2_audit")

    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    bucket = B2Storage().bucket
    assert lines[0].startswith(f"missing {bucket}: 'covers/gone.pdf' is named by legal.contract.cover")
    assert f"primary key {row.pk}" in lines[0]
    assert lines[1].startswith(f"orphan {bucket}: 'covers/\\u202efdp.exe' (1 version, 5 bytes, 20")
    assert lines[1].endswith(" UTC): no row names it")
    assert lines[2] == (
        "3 files in B2; 1 that no row names (5\xa0bytes); 1 row whose file is missing; 0 unfinished uploads; "
        "0 for b2_cleanup to remove; 0 too young to tell."
    )
    assert printed.err == ""


def test_without_a_look_at_b2_it_prints_no_summary(stored, capsys):
    with pytest.raises(CommandError, match="'typo' is no file field"):
        call_command("b2_audit", "--field", "typo")

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("flag", ["--delete", "--hide"])
def test_without_a_terminal_it_asks_nobody_and_refuses(stored, flag):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")

    with pytest.raises(CommandError, match="Add --no-input") as refusal:
        call_command("b2_audit", flag)

    assert refusal.value.returncode == 2
    assert len(stored.versions()) == 2


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("answer", "is_deleted"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_on_a_terminal_it_asks_before_it_deletes(stored, monkeypatch, answer, is_deleted):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    stored.begin("covers/large.bin")
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    shown = io.StringIO()

    try:
        call_command("b2_audit", "--delete", stdout=io.StringIO(), stderr=shown)
        status = 0
    except CommandError as error:
        status = error.returncode

    assert "Delete 1 file that no row names (1 version, 5\xa0bytes) for good" in shown.getvalue()
    assert "cancel 1 unfinished upload?" in shown.getvalue()
    assert ("covers/lost.pdf" not in stored.versions()) is is_deleted
    assert status == (0 if is_deleted else 2)


class _Answering(_Terminal):
    """Somebody who saves a row before answering."""

    def readline(self):
        Report.objects.create(file="covers/lost.pdf")
        return "y\n"


def test_a_row_that_is_saved_while_it_asks_keeps_its_file(stored, monkeypatch):
    keep(stored, "covers/a.pdf")
    stored.put("covers/lost.pdf")
    monkeypatch.setattr(sys, "stdin", _Answering())

    with pytest.raises(SystemExit):
        call_command("b2_audit", "--delete", stdout=io.StringIO(), stderr=io.StringIO())

    assert "covers/lost.pdf" in stored.versions()


def test_progress_is_drawn_on_a_terminal_and_wiped(stored):
    keep(stored, "covers/a.pdf")
    shown = _Terminal()

    call_command("b2_audit", stdout=io.StringIO(), stderr=shown, no_color=True)

    assert shown.getvalue().startswith("\r0 file versions")
    assert shown.getvalue().endswith(" \r")
    assert "\n" not in shown.getvalue()


@pytest.mark.parametrize("arguments", [("--json",), ("--verbosity", "0")])
def test_no_progress_is_drawn_where_it_is_not_wanted(stored, arguments):
    keep(stored, "covers/a.pdf")
    shown = _Terminal()

    call_command("b2_audit", *arguments, stdout=io.StringIO(), stderr=shown, no_color=True)

    assert shown.getvalue() == ""


def test_progress_is_drawn_ten_times_a_second_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown = _Terminal()

    with progress(shown, 200, "files") as advance:
        for _ in range(100):
            advance()
            now[0] += 0.01

    drawn = shown.getvalue().split("\r")[1:]
    assert 10 <= len([line for line in drawn if "files" in line]) <= 12
    assert drawn[0] == "0 of 200 files (0 %)"


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_progress_writes_nothing_where_nobody_looks(stream):
    with progress(stream, 2, "files") as advance:
        advance()
        advance(1)

    assert not stream or stream.getvalue() == ""
