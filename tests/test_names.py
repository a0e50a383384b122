"""What a file may be called: on reading, on upload, and in a link."""

import unicodedata
from urllib.parse import quote

import pytest
from django import forms
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import models
from django.test.utils import isolate_apps

from b2fields import B2FileField, B2Storage, names
from tests.legal.models import Contract
from tests.serving import ROUTES, body_of, hold, put, signed_in, told

NFC, NFD = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")

# Raw paths behind the label, as they stand on the wire. None of them names the file "folder/a.txt" of
# the row and bucket that they are tried against, nor the file of the bucket next to it.
ODD_PATHS = [
    pytest.param("../folder/a.txt", id="a parent"),
    pytest.param("folder/../folder/a.txt", id="a parent within"),
    pytest.param("folder/..", id="a parent at the end"),
    pytest.param("..", id="nothing but a parent"),
    pytest.param("%2e%2e/folder/a.txt", id="an encoded parent"),
    pytest.param("%2E%2E%2Ffolder/a.txt", id="an encoded parent and slash"),
    pytest.param("%252e%252e/folder/a.txt", id="a parent encoded twice"),
    pytest.param("%25%32%65%25%32%65/folder/a.txt", id="a parent encoded twice in another way"),
    pytest.param("..%2f..%2f{other}/folder/a.txt", id="the bucket next to it"),
    pytest.param("../{other}/folder/a.txt", id="the bucket next to it, not encoded"),
    pytest.param("folder/../../{other}/folder/a.txt", id="the bucket next to it, from within"),
    pytest.param("%2e%2e/{other}/folder/a.txt", id="the bucket next to it, dots encoded"),
    pytest.param("..%5c{other}%5cfolder%5ca.txt", id="the bucket next to it, by backslashes"),
    pytest.param("..;/{other}/folder/a.txt", id="a parent with a parameter"),
    pytest.param("./folder/a.txt", id="the folder itself"),
    pytest.param("%2e/folder/a.txt", id="the folder itself, encoded"),
    pytest.param("folder/./a.txt", id="the folder itself within"),
    pytest.param("folder/.", id="the folder itself at the end"),
    pytest.param("folder//a.txt", id="two slashes"),
    pytest.param("folder/%2fa.txt", id="two slashes, one encoded"),
    pytest.param("/folder/a.txt", id="a slash at the start"),
    pytest.param("%2ffolder/a.txt", id="an encoded slash at the start"),
    pytest.param("//{other}/folder/a.txt", id="two slashes at the start"),
    pytest.param("folder/a.txt/", id="a slash at the end"),
    pytest.param("folder/a.txt%2f", id="an encoded slash at the end"),
    pytest.param("folder/", id="a folder"),
    pytest.param("folder%5ca.txt", id="a backslash"),
    pytest.param("folder/a.txt%00", id="a NUL at the end"),
    pytest.param("folder/a.txt%00.png", id="a NUL before another extension"),
    pytest.param("folder/a.txt%0a", id="a line feed at the end"),
    pytest.param("folder/a.txt%0d%0aX-Injected:%20yes", id="a line break and a header"),
    pytest.param("folder/a.txt%7f", id="a delete character"),
    pytest.param("folder/a.txt%c2%85", id="a next line character"),
    pytest.param("folder/a.txt%ff", id="a byte that is no UTF-8"),
    pytest.param("folder/%c0%ae%c0%ae/a.txt", id="overlong dots"),
    pytest.param("folder%c0%afa.txt", id="an overlong slash"),
    pytest.param("folder/a.txt%ed%a0%80", id="half a surrogate pair"),
    pytest.param("folder/a.txt%ef%bf%bd", id="a replacement character"),
    pytest.param("FOLDER/A.TXT", id="upper case"),
    pytest.param("folder/A.txt", id="one letter in upper case"),
    pytest.param("folder/%EF%BD%81.txt", id="a full-width letter"),
    pytest.param("folder/a.txt%20", id="a space at the end"),
    pytest.param("%20folder/a.txt", id="a space at the start"),
    pytest.param("folder/a.txt.", id="a dot at the end"),
    pytest.param("folder/a.txt;x.css", id="a parameter"),
    pytest.param("folder/a.txt/x.css", id="a segment behind it"),
    pytest.param("folder/a.txt%3fx.css", id="an encoded question mark"),
    pytest.param("folder/a.txt%23x", id="an encoded hash"),
    pytest.param("folder%2520/a.txt", id="a percent sign"),
    pytest.param("folder/%61.txt%2520", id="an encoded letter and a percent sign"),
    pytest.param("folder+a.txt", id="a plus sign"),
    pytest.param("https://{other}/folder/a.txt", id="a URL"),
    pytest.param("@{other}/folder/a.txt", id="an at sign"),
    pytest.param("%25", id="a percent sign alone"),
    pytest.param("%", id="a percent sign that encodes nothing"),
    pytest.param("x" * 1025, id="1,025 bytes"),
    pytest.param("%C3%A9" * 513, id="1,026 bytes of 513 characters"),
    pytest.param("x" * 60_000, id="60,000 bytes"),
    pytest.param("a/" * 511 + "a", id="512 segments"),
    pytest.param("folder/a.tx", id="a name cut short"),
    pytest.param("folder/a.txt2", id="a name with more behind it"),
]
LABELS = {"legal.contract.cover": "public", "legal.contract.minutes": "login", "legal.contract.scan": "staff"}


@pytest.mark.django_db
@pytest.mark.parametrize("raw", ODD_PATHS)
def test_an_odd_name_is_not_found_and_costs_nothing(raw, visitors, emulator, bucket, make_bucket):
    other = make_bucket()
    for each in (bucket, other):
        put(emulator, each, "folder/a.txt")
    clients = {label: signed_in(visitors["superuser"]) for label in LABELS}
    for label in LABELS:
        hold(label, "folder/a.txt")
    with emulator.counted() as spent:
        for label, client in clients.items():
            response = client.get(f"/{ROUTES[LABELS[label]]}/{label}/" + raw.format(other=other))
            assert (response.status_code, response.headers["Cache-Control"]) == (404, "private, no-store")
            assert b"the file" not in body_of(response)
    assert spent == []


# The name of a row is data, too: it may have been assigned as text, or have come with a fixture.
@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "../{other}/a.txt",
        "folder/../../{other}/a.txt",
        "..\\{other}\\a.txt",
        "./a.txt",
        "/a.txt",
        "a//b.txt",
        "a.txt/",
        "a\x00.txt",
        "a\n.txt",
        "a.txt\x7f",
        "..",
        ".",
    ],
    ids=repr,
)
def test_an_odd_name_in_a_row_is_not_served_either(name, visitors, emulator, bucket, make_bucket):
    other = make_bucket()
    put(emulator, other, "a.txt")
    put(emulator, bucket, "a.txt")
    name = name.format(other=other)
    Contract.objects.bulk_create([Contract(cover=name, scan=name)])
    client = signed_in(visitors["superuser"])
    with emulator.counted() as spent:
        for path in ("/b2/legal.contract.cover/", "/b2s/legal.contract.scan/"):
            assert told(client.get(path + quote(name)))[0] == 404
    assert spent == []


@pytest.mark.django_db
@pytest.mark.parametrize("form", [NFC, NFD], ids=["NFC", "NFD"])
def test_a_name_is_served_in_its_own_unicode_form_alone(form, emulator, bucket):
    put(emulator, bucket, f"{form}.txt")
    hold("legal.contract.cover", f"{form}.txt")
    for asked in (NFC, NFD):
        status = told(signed_in().get(f"/b2/legal.contract.cover/{quote(asked)}.txt"))[0]
        assert status == (200 if asked == form else 404)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "a b.txt",
        "a+b.txt",
        "a%20b.txt",
        "a%2fb.txt",
        "%2e%2e/a.txt",
        "a?b.txt",
        "a#b.txt",
        "a&b=c;d.txt",
        "a'b\"c.txt",
        "a:b@c.txt",
        "a,b!c$d(e)*.txt",
        "a<b>|c^`{}.txt",
        "...",
        "..a/b..",
        "文件/é.txt",
        "😀.txt",
        "x" * 250 + "/a.txt",
        " a.txt",
        "~a/[b].txt",
    ],
)
def test_a_name_with_special_characters_is_served_by_its_url(name, emulator, bucket):
    put(emulator, bucket, name)
    row = hold("legal.contract.cover", name)
    with emulator.counted() as spent:
        url = row.cover.url
    assert spent == []
    assert told(signed_in().get(url))[::3] == (200, b"the file")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "?x.css",
        "?name=other.txt",
        "?download=2",
        "?download=1&download=0",
        "?Content-Type=text/html",
        "?response-content-type=text/html&b2ContentType=text/html",
        "?level=public",
        "?" + "&".join(["a=b"] * 1500),
        "?a=%ff",
        "?" + "x" * 20_000,
        "?%00",
    ],
    ids=lambda query: query[:50],
)
def test_the_query_changes_neither_the_file_nor_its_headers(query, emulator, bucket):
    put(emulator, bucket, "a.txt")
    hold("legal.contract.cover", "a.txt")
    plain = told(signed_in().get("/b2/legal.contract.cover/a.txt"))
    assert told(signed_in().get("/b2/legal.contract.cover/a.txt" + query)) == plain


# Upload


class ContractForm(forms.ModelForm):
    class Meta:
        model = Contract
        fields = ["cover"]


def upload(filename):
    """Save a form with a file of this name, as a browser sends it, and return the row."""
    form = ContractForm({}, {"cover": SimpleUploadedFile("placeholder", b"the file")})
    form.files["cover"]._name = filename
    assert form.is_valid(), form.errors
    return form.save()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("filename", "stored"),
    [
        pytest.param("report.pdf", "report.pdf", id="a plain name is kept"),
        pytest.param("a b (1)+[2].pdf", "a b (1)+[2].pdf", id="spaces and brackets are kept"),
        pytest.param("100% #1?.pdf", "100% #1?.pdf", id="what means something in URLs is kept"),
        pytest.param("文件 😀.pdf", "文件 😀.pdf", id="letters of all scripts are kept"),
        pytest.param(f"{NFD}.pdf", f"{NFC}.pdf", id="letters are composed"),
        pytest.param("a\u202efdp.exe", "afdp.exe", id="a mark that reorders is dropped"),
        pytest.param("a\u2066b\u2069\u200f.pdf", "ab.pdf", id="isolates and direction marks are dropped"),
        pytest.param("a\r\nb\x00\x1f\x7f\x85.pdf", "ab.pdf", id="control characters are dropped"),
        pytest.param("a.pdf\n", "a.pdf", id="a trailing line feed is dropped"),
        pytest.param("a\ud800.pdf", "a.pdf", id="half a surrogate pair is dropped"),
        pytest.param("a\ufffd\ufeff.pdf", "a.pdf", id="what stands for broken text is dropped"),
        pytest.param("  a.pdf  ", "a.pdf", id="spaces around it are dropped"),
        pytest.param("...a.pdf", "...a.pdf", id="dots at the start are kept"),
        pytest.param("a" * 250 + ".pdf", None, id="250 letters are cut"),
        pytest.param("文" * 100 + ".pdf", None, id="100 characters of three bytes are cut"),
        pytest.param("é" * 126 + ".pdf", None, id="a cut falls between characters"),
        pytest.param("a." + "x" * 250, None, id="an absurd extension is cut"),
    ],
)
def test_an_uploaded_name(filename, stored, emulator):
    name = upload(filename).cover.name
    folder, unique, last = name.split("/")
    assert folder == "covers"
    assert len(unique) >= 11
    if stored is not None:
        assert last == stored
    else:
        assert len(last.encode()) <= 250
        assert last[: len(last) - 4] in filename
        assert last.endswith(filename[-4:])
    assert len(name.encode()) <= 1024
    assert names.is_well_formed(name)
    assert told(signed_in().get(Contract.objects.get().cover.url))[::3] == (200, b"the file")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("filename", "stored"),
    [
        pytest.param("../../etc/passwd", "passwd", id="parents are dropped"),
        pytest.param("/etc/passwd", "passwd", id="a path is dropped"),
        pytest.param("..\\..\\boot.ini", "boot.ini", id="parents of Windows are dropped"),
        pytest.param("C:\\boot.ini", "boot.ini", id="a drive is dropped"),
        pytest.param("a/./b//c.txt", "c.txt", id="folders are dropped"),
        pytest.param("&#46;&#46;/a.txt", "a.txt", id="character references are dropped"),
    ],
)
def test_a_path_in_an_uploaded_name(filename, stored, visitors, emulator):
    client = signed_in(visitors["superuser"])
    file = SimpleUploadedFile("placeholder", b"the file")
    file._name = file.name = filename
    body = (
        b'--edge\r\nContent-Disposition: form-data; name="cover"; filename="'
        + filename.encode()
        + b'"\r\nContent-Type: text/html\r\n\r\nthe file\r\n--edge\r\n'
        + b'Content-Disposition: form-data; name="title"\r\n\r\n\r\n--edge--\r\n'
    )
    response = client.generic(
        "POST", "/admin/legal/contract/add/", body, content_type="multipart/form-data; boundary=edge"
    )
    assert response.status_code == 302
    assert Contract.objects.get().cover.name.rpartition("/")[2] == stored
    (asked,) = [r for r in emulator.requests() if r["operation"] == "b2_upload_file"]
    assert asked["status"] == 200


@pytest.mark.django_db
@pytest.mark.parametrize("filename", ["..", ".", "", "/", "\u202e", "\n", "   "], ids=repr)
def test_a_name_with_nothing_in_it_is_refused_before_b2_is_asked(filename, emulator):
    with emulator.counted() as spent, pytest.raises(SuspiciousFileOperation):
        Contract().cover.save(filename, SimpleUploadedFile("placeholder", b"the file"))
    assert spent == []


@pytest.mark.parametrize(
    "upload_to",
    [
        "../other/",
        "folder/../../other/",
        "/folder/",
        "..",
        "folder\\..\\..\\other",
        pytest.param(lambda instance, filename: "../other/" + filename, id="a callable to a parent"),
        pytest.param(lambda instance, filename: "/other/" + filename, id="a callable to the root"),
        pytest.param(lambda instance, filename: "..\\other\\" + filename, id="a callable by backslashes"),
        pytest.param(lambda instance, filename: "..", id="a callable that drops the name"),
    ],
)
@isolate_apps("tests.legal")
def test_an_upload_to_that_leads_out_is_refused_before_b2_is_asked(upload_to, emulator):
    class Stray(models.Model):
        file = B2FileField(upload_to=upload_to)

        class Meta:
            app_label = "legal"

    with emulator.counted() as spent, pytest.raises(SuspiciousFileOperation):
        Stray().file.save("a.txt", SimpleUploadedFile("a.txt", b"the file"), save=False)
    assert spent == []


@isolate_apps("tests.legal")
def test_a_long_upload_to_leaves_what_room_there_is(emulator):
    class Deep(models.Model):
        file = B2FileField(upload_to="/".join(["x" * 100] * 8), max_length=1000)

        class Meta:
            app_label = "legal"

    row = Deep()
    row.file.save("文" * 200 + ".pdf", SimpleUploadedFile("a", b"the file"), save=False)
    assert len(row.file.name.encode()) <= 1024
    assert row.file.name.endswith("文.pdf")
    assert row.file.read() == b"the file"
    row.file.close()


# The rules alone


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("a/b.txt", "a/b.txt", id="a name is itself"),
        pytest.param("a\\b.txt", "a/b.txt", id="a backslash is a slash"),
        pytest.param("./a//b/./c.txt", "a/b/c.txt", id="needless parts are dropped"),
        pytest.param("a/", "a", id="a slash at the end is dropped"),
        pytest.param("", "", id="nothing is nothing"),
        pytest.param(".", "", id="a dot is nothing"),
        pytest.param("..a/b..", "..a/b..", id="dots within a name are kept"),
        pytest.param(f"{NFD}.txt", f"{NFD}.txt", id="the Unicode form is kept"),
    ],
)
def test_how_a_name_is_looked_up(name, expected):
    assert names.exact(name) == expected


@pytest.mark.parametrize(
    "name",
    ["..", "../a", "a/..", "a/../b", "/a", "\\a", "a\\..\\b", "//a", "a\0b", "a\n", "a\x85", "\ud800"],
    ids=repr,
)
def test_what_no_file_can_be_called(name):
    with pytest.raises(SuspiciousFileOperation):
        names.exact(name)
    with pytest.raises(SuspiciousFileOperation):
        names.storable(name)
    assert not names.is_well_formed(name)


@pytest.mark.parametrize(
    ("upload_to", "expected"),
    [
        pytest.param("", "", id="none is none"),
        pytest.param(".", "", id="a dot is none"),
        pytest.param("a", "a/", id="a folder has its slash"),
        pytest.param("a/b/", "a/b/", id="a slash is enough"),
        pytest.param("./a//b/", "a/b/", id="needless parts are dropped"),
        pytest.param("a\\b", "a/b/", id="a backslash is a slash"),
        pytest.param(f"{NFD}/", f"{NFC}/", id="the Unicode form is that of stored names"),
        pytest.param("a\u202e/b", "a/b/", id="bidi marks are dropped, as in stored names"),
        pytest.param("a/%Y", "a/", id="what is before a date"),
        pytest.param("a/of-%Y/b", "a/", id="a folder that is not all date counts as date"),
        pytest.param(f"{NFD}\\%Y", f"{NFC}/", id="the same before a date"),
        pytest.param("%Y/x", "", id="a date comes first"),
        pytest.param(lambda instance, filename: "a/b", "", id="nobody knows what a callable does"),
    ],
)
def test_the_folder_that_all_names_of_a_field_are_in(upload_to, expected):
    assert names.fixed_folder(upload_to) == expected


@pytest.mark.parametrize("upload_to", ["../a/", "/a/", "\\a", "a/../b/", "..", "a/../%Y", "a\0b"], ids=repr)
def test_an_upload_to_where_nothing_can_be_stored_is_the_folder_of_no_name(upload_to):
    assert not names.is_well_formed(f"{names.fixed_folder(upload_to)}x")


@pytest.mark.parametrize(
    "upload_to", ["", "a", "./a//b/", "a\\b", f"{NFD}/", "a\u202e/b", "a/%Y", "%Y/x", f"{NFD}\\%Y"], ids=repr
)
@isolate_apps("tests.legal")
def test_the_name_of_an_upload_is_in_the_folder_of_its_field(upload_to):
    class Placed(models.Model):
        file = B2FileField(upload_to=upload_to)

        class Meta:
            app_label = "legal"

    field = Placed._meta.get_field("file")

    assert field.generate_filename(Placed(), "x.txt").startswith(names.fixed_folder(upload_to))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", True),
        ("a/b c/é.txt", True),
        ("x" * 1024, True),
        ("é" * 512, True),
        ("x" * 1025, False),
        ("é" * 513, False),
        ("", False),
        (".", False),
        ("a/", False),
        ("a//b", False),
        ("./a", False),
        ("a\\b", False),
        ("a\ufffd", False),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_a_url_may_ask_for(name, expected):
    assert names.is_well_formed(name) is expected


@pytest.mark.parametrize(
    "segment",
    ["x" * 250, "x" * 251, "x" * 400 + ".pdf", "é" * 200 + ".pdf", "文" * 84 + ".tar.gz", "x." + "y" * 400],
    ids=lambda segment: segment[:5],
)
def test_a_segment_never_has_more_than_250_bytes(segment):
    fitted = names.fit_segment(segment)
    assert len(fitted.encode()) <= 250
    assert fitted == segment or len(fitted.encode()) >= 247


@pytest.mark.parametrize("name", ["x" * 251, "ü" * 126 + "/a.txt", "x/" * 500 + "y"])
def test_a_name_too_long_for_b2_is_refused_before_anything_is_sent(name, emulator):
    storage = B2Storage()
    with emulator.counted() as operations:
        with pytest.raises(SuspiciousFileOperation, match="too long for B2"):
            storage.upload(name, ContentFile(b"content"))
        with pytest.raises(SuspiciousFileOperation), storage.open(name, "wb") as file:
            file.write(b"content")
    assert operations == []


def test_the_location_counts_for_the_length_of_a_name(emulator):
    with emulator.counted() as operations, pytest.raises(SuspiciousFileOperation):
        B2Storage(location="x/" * 490).upload("y" * 100, ContentFile(b"content"))
    assert operations == []


def test_a_name_too_long_for_b2_is_refused_by_bytes_and_not_by_characters():
    names.check_limits("/".join(["x" * 250] * 3))
    for name in ("x" * 251, "é" * 126, "/".join(["x" * 200] * 5)):
        with pytest.raises(SuspiciousFileOperation, match="too long for B2"):
            names.check_limits(name)
