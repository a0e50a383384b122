"""What B2StaticStorage and B2ManifestStaticStorage promise to a real collectstatic."""

import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.core.management import CommandError, call_command
from django.template import Context, Template
from django.test import override_settings

from b2fields import B2Storage
from b2fields.exceptions import CapExceeded, NotConfigured, PolicyConflict
from b2fields.static import B2ManifestStaticStorage, B2StaticStorage

SITE = Path(__file__).parent / "static_site"
README = (Path(__file__).parents[1] / "README.md").read_text()
NAMES = {
    "css/base.css",
    "css/nested/theme.css",
    "css/site.css",
    "img/dot.png",
    "img/icons.eot",
    "js/app.js",
    "js/app.js.map",
    "js/name.js",
    "vendor/library.js",
}
UPLOAD, LISTING = "b2_upload_file", "b2_list_file_names"


class ModuleStorage(B2ManifestStaticStorage):
    """As Django's own may be, with references between JavaScript modules."""

    support_js_module_import_aggregation = True


@pytest.fixture
def site(tmp_path, settings):
    """A copy of the static site, whose files a test may change."""
    shutil.copytree(SITE, tmp_path / "site")
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [tmp_path / "site" / "files", ("vendor", tmp_path / "site" / "vendor")]
    return tmp_path / "site" / "files"


@pytest.fixture
def static_bucket(make_bucket):
    return make_bucket("allPublic")


@pytest.fixture
def use(site, emulator, static_bucket, settings):
    """Make one of the storages that of the static files."""

    def use(storage, **options):
        settings.STORAGES = {
            **settings.STORAGES,
            "staticfiles": {
                "BACKEND": f"{storage.__module__}.{storage.__name__}",
                "OPTIONS": {"bucket": static_bucket, **options},
            },
        }
        # Connected as a process is that has made requests before.
        B2Storage().client.bucket(static_bucket)
        emulator.clear()

    return use


@pytest.fixture
def plain(use):
    use(B2StaticStorage)


@pytest.fixture
def manifest(use):
    use(B2ManifestStaticStorage)


@pytest.fixture
def versions(b2_api, static_bucket):
    """Return what the SDK sees in the bucket: the newest version by name, or all of them."""
    bucket = b2_api.get_bucket_by_name(static_bucket)

    def versions():
        return {version.file_name: version for version, _ in bucket.ls(latest_only=True, recursive=True)}

    return versions


def collect(**options):
    out = io.StringIO()
    call_command("collectstatic", interactive=False, stdout=out, **options)
    return out.getvalue().strip()


def cost(emulator, **options):
    """Collect, and return how often each operation was asked for, and what was said."""
    with emulator.counted() as operations:
        said = collect(**options)
    return Counter(operations), said


def fetch(url):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as answer:
        return answer.read(), answer.headers


def touch(root, seconds):
    for path in root.rglob("*"):
        os.utime(path, (seconds, seconds))


# collectstatic


def test_the_first_collectstatic_is_one_listing_and_one_upload_for_each_file(plain, emulator, versions):
    operations, said = cost(emulator)
    assert said == "9 static files copied."
    assert operations[LISTING] == 1
    assert operations[UPLOAD] == len(NAMES)
    assert operations.keys() == {LISTING, UPLOAD, "b2_get_upload_url"}
    assert versions().keys() == NAMES


def test_files_have_their_own_names_and_bytes(plain, site):
    collect()
    for name in NAMES - {"vendor/library.js"}:
        assert fetch(staticfiles_storage.url(name))[0] == (site / name).read_bytes()


@pytest.mark.parametrize("storage", [B2StaticStorage, B2ManifestStaticStorage])
def test_a_second_collectstatic_is_one_listing(use, emulator, storage):
    use(storage)
    collect()
    operations, said = cost(emulator)
    assert said.startswith("0 static files copied, 9 unmodified")
    assert operations == {LISTING: 1}


@pytest.mark.parametrize("seconds", [1, 4_000_000_000], ids=["older", "newer"])
def test_the_time_of_an_unchanged_file_makes_no_difference(plain, site, emulator, seconds):
    collect()
    touch(site, seconds)
    operations, said = cost(emulator)
    assert said == "0 static files copied, 9 unmodified."
    assert operations == {LISTING: 1}


@pytest.mark.parametrize("seconds", [1, 4_000_000_000], ids=["older", "newer"])
def test_a_changed_file_alone_is_uploaded_whatever_its_time(plain, site, emulator, seconds):
    collect()
    (site / "js" / "name.js").write_text("changed")
    touch(site, seconds)
    operations, said = cost(emulator)
    assert said == "1 static file copied, 8 unmodified."
    assert (operations[LISTING], operations[UPLOAD]) == (1, 1)
    assert fetch(staticfiles_storage.url("js/name.js"))[0] == b"changed"


def test_a_changed_file_is_never_missing_in_between(plain, site, emulator):
    collect()
    (site / "js" / "name.js").write_text("changed")
    operations, _ = cost(emulator)
    assert set(operations) == {LISTING, UPLOAD}


def test_a_file_that_lost_its_source_stays(plain, site, emulator, versions):
    collect()
    (site / "js" / "name.js").unlink()
    collect()
    assert versions().keys() == NAMES


@pytest.mark.parametrize(
    ("content_type", "cache_control"),
    [
        pytest.param("text/plain", "public, max-age=3600", id="with another type"),
        pytest.param("text/javascript", "no-store", id="to be cached otherwise"),
    ],
)
def test_what_another_tool_stored_is_uploaded_again(
    plain, site, emulator, b2_api, static_bucket, versions, content_type, cache_control
):
    collect()
    b2_api.get_bucket_by_name(static_bucket).upload_bytes(
        (site / "js" / "name.js").read_bytes(),
        "js/name.js",
        content_type=content_type,
        cache_control=cache_control,
    )
    assert cost(emulator)[0][UPLOAD] == 1
    assert versions()["js/name.js"].content_type == "text/javascript"
    assert versions()["js/name.js"].file_info["b2-cache-control"] == "public, max-age=3600"


def test_a_name_is_stored_as_it_stands_on_the_disk(plain, site, versions):
    name = "img/cafe\u0301 (1).png"  # a letter and its accent, which uploads of users are joined to one
    (site / name).touch()
    collect()
    assert name in versions()


def test_a_listing_goes_on_past_a_thousand_files(plain, site, emulator):
    (site / "many").mkdir()
    for number in range(1000):
        (site / "many" / f"{number}.txt").touch()
    collect()
    operations, said = cost(emulator)
    assert said == "0 static files copied, 1009 unmodified."
    assert operations == {LISTING: 2}


# --clear, --dry-run, --link, --no-post-process


@pytest.mark.parametrize("storage", [B2StaticStorage, B2ManifestStaticStorage])
def test_clear_of_what_has_not_changed_is_one_listing(use, emulator, versions, storage):
    use(storage)
    collect()
    before = versions().keys()
    operations, _ = cost(emulator, clear=True)
    assert operations == {LISTING: 1}
    assert versions().keys() == before


def test_clear_deletes_what_has_no_source(plain, site, emulator, versions):
    collect()
    (site / "css" / "nested" / "theme.css").unlink()
    (site / "css" / "site.css").write_text("h1 { color: teal }")
    operations, said = cost(emulator, clear=True)
    assert said.endswith("8 static files copied.")
    assert (operations[LISTING], operations[UPLOAD], operations["b2_delete_file_version"]) == (1, 1, 1)
    assert versions().keys() == NAMES - {"css/nested/theme.css"}


def test_clear_deletes_only_what_is_under_the_location(use, versions, b2_api, static_bucket):
    use(B2StaticStorage, location="static")
    bucket = b2_api.get_bucket_by_name(static_bucket)
    bucket.upload_bytes(b"foreign", "foreign.txt")
    bucket.upload_bytes(b"foreign", "static.txt")
    bucket.upload_bytes(b"old", "static/old.txt")
    collect(clear=True)
    assert versions().keys() == {"foreign.txt", "static.txt"} | {f"static/{name}" for name in NAMES}


@pytest.mark.parametrize("clear", [False, True])
def test_a_dry_run_changes_nothing(manifest, site, emulator, versions, clear):
    collect()
    (site / "js" / "name.js").write_text("changed")
    before = {name: version.id_ for name, version in versions().items()}
    operations, said = cost(emulator, dry_run=True, clear=clear)
    assert operations == {LISTING: 1}
    assert clear or said.splitlines()[-1] == "1 static file copied, 8 unmodified."
    assert {name: version.id_ for name, version in versions().items()} == before


def test_links_are_refused_as_django_refuses_them(plain, emulator):
    with emulator.counted() as operations, pytest.raises(CommandError, match="symlink to a remote"):
        collect(link=True)
    assert operations == []


def test_without_post_processing_everything_is_done_when_the_command_ends(plain, site, emulator, versions):
    collect(post_process=False)
    assert versions().keys() == NAMES
    (site / "js" / "name.js").write_text("changed")
    operations, said = cost(emulator, post_process=False)
    assert said == "1 static file copied, 8 unmodified."
    assert (operations[LISTING], operations[UPLOAD]) == (1, 1)
    (site / "img" / "dot.png").unlink()
    assert cost(emulator, post_process=False, clear=True)[0][LISTING] == 1
    assert versions().keys() == NAMES - {"img/dot.png"}
    assert fetch(staticfiles_storage.url("js/name.js"))[0] == b"changed"


# Errors and threads


def test_an_upload_that_fails_makes_the_command_fail(plain, emulator):
    emulator.fault(UPLOAD, skip=5, times=None, status=403, code="storage_cap_exceeded")
    with pytest.raises(CapExceeded):
        collect()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("b2fields-static")]


def test_after_one_that_failed_no_other_is_begun(use, settings, emulator):
    settings.B2FIELDS_UPLOAD_THREADS = 2
    use(B2StaticStorage)
    emulator.fault(UPLOAD, times=None, status=403, code="storage_cap_exceeded")
    with emulator.counted() as operations, pytest.raises(CapExceeded):
        collect()
    assert operations.count(UPLOAD) <= 2


def test_the_last_upload_fails_it_too(plain, emulator):
    emulator.fault(UPLOAD, skip=len(NAMES) - 1, status=403, code="storage_cap_exceeded")
    with pytest.raises(CapExceeded):
        collect()


def test_a_failing_upload_of_the_manifest_leaves_the_one_before(manifest, site, emulator):
    collect()
    before = staticfiles_storage.read_manifest()
    (site / "js" / "name.js").write_text("changed")
    # The file, its copy by hash, and then the manifest.
    emulator.fault(UPLOAD, skip=2, status=403, code="storage_cap_exceeded")
    with pytest.raises(CapExceeded):
        collect()
    assert staticfiles_storage.read_manifest() == before


def test_a_manifest_is_uploaded_when_all_that_it_names_is_there(manifest, emulator):
    emulator.fault(UPLOAD, skip=2 * len(NAMES) - 1, delay=0.5, status=403, code="storage_cap_exceeded")
    with pytest.raises(CapExceeded):
        collect()
    assert staticfiles_storage.read_manifest() is None


def test_the_next_run_uploads_what_is_missing(plain, emulator, versions):
    emulator.fault(UPLOAD, skip=5, times=None, status=403, code="storage_cap_exceeded")
    with pytest.raises(CapExceeded):
        collect()
    emulator.heal()
    missing = len(NAMES - versions().keys())
    assert cost(emulator)[0][UPLOAD] == missing
    assert versions().keys() == NAMES


def test_no_more_uploads_than_threads_run_at_once(use, emulator, settings):
    settings.B2FIELDS_UPLOAD_THREADS = 3
    use(B2StaticStorage)
    # Each thread that uploads while others do takes an upload URL of its own.
    assert 1 <= cost(emulator)[0]["b2_get_upload_url"] <= 3


def test_uploads_overlap(use, emulator, settings):
    settings.B2FIELDS_UPLOAD_THREADS = 2
    use(B2StaticStorage)
    emulator.fault(UPLOAD, delay=0.5)
    assert cost(emulator)[0]["b2_get_upload_url"] == 2


def test_files_that_do_not_fit_in_memory_are_uploaded_too(use, settings, site, emulator, versions):
    settings.B2FIELDS_MAX_MEMORY_SIZE = 10
    use(B2ManifestStaticStorage)
    collect()
    assert versions().keys() > NAMES
    assert fetch(staticfiles_storage.url("img/dot.png"))[0] == (site / "img" / "dot.png").read_bytes()
    assert cost(emulator)[0] == {LISTING: 1}


@pytest.fixture
def run(emulator, static_bucket, site, settings, tmp_path):
    """Run a Django command as a process of its own, with the README's settings."""
    snippet = re.search(r"```python\n# settings.py, for collectstatic\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "static_settings.py").write_text(
        "from tests.settings import *\n"
        f"{snippet.replace('acme-static', static_bucket)}\n"
        f"STATICFILES_DIRS = [{str(site)!r}]\n"
        'STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]\n'
        f"B2FIELDS_REALM = {settings.B2FIELDS_REALM!r}\n"
        f"B2FIELDS_APPLICATION_KEY_ID = {settings.B2FIELDS_APPLICATION_KEY_ID!r}\n"
        f"B2FIELDS_APPLICATION_KEY = {settings.B2FIELDS_APPLICATION_KEY!r}\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}

    def run(*arguments):
        command = [sys.executable, "-m", "django", *arguments, "--settings", "static_settings"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_readme_says_how_to_switch_it_on(run, emulator, static_bucket):
    done = run("collectstatic", "--noinput")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == "8 static files copied, 8 post-processed."
    shown = run("shell", "-c", "from django.templatetags.static import static; print(static('css/site.css'))")
    url = shown.stdout.split()[-1]
    assert url.startswith(f"{emulator.realm}/file/{static_bucket}/css/site.")
    assert fetch(url)[1]["Content-Type"] == "text/css"


def test_as_a_process_it_ends_with_an_error_status_if_an_upload_fails(run, emulator):
    emulator.fault(UPLOAD, skip=7, status=403, code="storage_cap_exceeded")
    failed = run("collectstatic", "--noinput")
    assert failed.returncode == 1
    assert "Raise it at Backblaze" in failed.stderr


def test_a_check_asks_b2_nothing(run, emulator):
    with emulator.counted() as operations:
        assert run("check").returncode == 0
    assert operations == []


# Headers


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("css/site.css", "text/css"),
        ("js/app.js", "text/javascript"),
        ("js/app.js.map", "application/json"),
        ("img/dot.png", "image/png"),
        ("img/icons.eot", "application/vnd.ms-fontobject"),
    ],
)
def test_browsers_get_a_type_they_can_use(manifest, name, content_type):
    collect()
    assert fetch(staticfiles_storage.url(name))[1]["Content-Type"] == content_type
    assert fetch(staticfiles_storage.url(name, force=True))[1]["Content-Type"] == content_type


def test_files_of_users_get_no_type_that_a_browser_would_run(storage):
    assert (
        storage.metadata(storage.save("a.js", ContentFile(b"x"))).content_type == "application/octet-stream"
    )


def test_hashed_names_are_cached_for_ever_and_others_shortly(manifest, versions):
    collect()
    hashed = set(staticfiles_storage.hashed_files.values())
    cache_control = {name: version.file_info["b2-cache-control"] for name, version in versions().items()}
    assert {cache_control[name] for name in hashed} == {"public, max-age=31536000, immutable"}
    assert {cache_control[name] for name in cache_control.keys() - hashed} == {"public, max-age=3600"}


def test_b2_sends_the_cache_headers(manifest):
    collect()
    assert "immutable" in fetch(staticfiles_storage.url("css/site.css"))[1]["Cache-Control"]


def test_metadata_may_set_another_time_for_names_without_a_hash(use, versions):
    use(B2ManifestStaticStorage, metadata={"b2-cache-control": "no-cache"})
    collect()
    assert versions()["css/site.css"].file_info["b2-cache-control"] == "no-cache"
    hashed = staticfiles_storage.hashed_files["css/site.css"]
    assert "immutable" in versions()[hashed].file_info["b2-cache-control"]


# The manifest


def test_references_lead_to_hashed_names(manifest, emulator, versions):
    operations, said = cost(emulator)
    assert said == "9 static files copied, 9 post-processed."
    hashed = staticfiles_storage.hashed_files
    assert hashed.keys() == NAMES
    # Each file, its copy and the manifest; no copy of what a pass of post-processing made on the way.
    assert operations[UPLOAD] == 2 * len(NAMES) + 1
    assert operations.keys() == {LISTING, UPLOAD, "b2_get_upload_url"}
    assert versions().keys() == NAMES | set(hashed.values()) | {"staticfiles.json"}
    css = fetch(staticfiles_storage.url("css/site.css"))[0].decode()
    assert f'@import url("nested/{Path(hashed["css/nested/theme.css"]).name}")' in css
    assert f'url("../{hashed["img/dot.png"]}")' in css
    assert f'url("../{hashed["img/dot.png"]}#top")' in css
    assert f'url("../{hashed["img/icons.eot"]}?#iefix")' in css
    js = fetch(staticfiles_storage.url("js/app.js"))[0].decode()
    assert f"sourceMappingURL={Path(hashed['js/app.js.map']).name}" in js


def test_references_between_modules_do_so_where_they_are_switched_on(use):
    use(ModuleStorage)
    collect()
    js = fetch(staticfiles_storage.url("js/app.js"))[0].decode()
    assert f'from "./{Path(staticfiles_storage.hashed_files["js/name.js"]).name}"' in js


def test_a_reference_to_a_missing_file_fails_the_command_as_with_django(manifest, site, emulator):
    (site / "css" / "site.css").write_text('a { background: url("absent.png") }')
    with pytest.raises((CommandError, ValueError), match=r"absent\.png"):  # Before Django 6.1 the latter.
        collect()
    assert staticfiles_storage.read_manifest() is None


def test_a_reference_to_a_folder_is_left_alone_as_with_django(manifest, site):
    (site / "css" / "site.css").write_text('a { background: url("../img") }')
    for _ in range(2):
        collect()
        assert b'url("../img")' in fetch(staticfiles_storage.url("css/site.css"))[0]


def test_a_changed_file_changes_what_refers_to_it_and_old_copies_stay(manifest, site, emulator, versions):
    collect()
    before = dict(staticfiles_storage.hashed_files)
    (site / "css" / "nested" / "theme.css").write_text("h1 { color: teal }")
    operations, _ = cost(emulator)
    # theme.css; its copy and that of site.css, which names it; the manifest.
    assert (operations[LISTING], operations[UPLOAD]) == (1, 4)
    after = staticfiles_storage.hashed_files
    assert {name for name in NAMES if before[name] != after[name]} == {
        "css/nested/theme.css",
        "css/site.css",
    }
    assert set(before.values()) <= versions().keys()


def test_the_manifest_is_read_once_and_only_when_a_url_is_asked_for(manifest, emulator):
    collect()
    fresh = B2ManifestStaticStorage(**staticfiles_storage._options)
    with emulator.counted() as operations:
        assert fresh.manifest_strict
    assert operations == []
    with emulator.counted() as operations:
        urls = [fresh.url(name) for name in sorted(NAMES)]
        assert fresh.manifest_hash
    assert operations == ["b2_download_file_by_name"]
    assert [fetch(url)[1]["Cache-Control"] for url in urls] == ["public, max-age=31536000, immutable"] * 9


def test_many_threads_read_the_manifest_once(manifest, emulator):
    collect()
    fresh = B2ManifestStaticStorage(**staticfiles_storage._options)
    begin = threading.Barrier(8)
    found = []

    def ask():
        begin.wait()
        found.append(fresh.url("img/dot.png"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    emulator.fault("b2_download_file_by_name", delay=0.2)
    with emulator.counted() as operations:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert operations == ["b2_download_file_by_name"]
    assert len(set(found)) == 1
    assert len(found) == 8


def test_that_there_is_no_manifest_is_remembered(manifest, emulator):
    with emulator.counted() as operations:
        for _ in range(3):
            with pytest.raises(ValueError, match="Missing staticfiles manifest entry"):
                staticfiles_storage.url("css/site.css")
    assert operations == ["b2_download_file_by_name"]


def test_that_b2_does_not_answer_is_not(manifest, emulator):
    collect()
    fresh = B2ManifestStaticStorage(**staticfiles_storage._options)
    emulator.fault("b2_download_file_by_name", status=403, code="download_cap_exceeded")
    with pytest.raises(CapExceeded):
        fresh.url("css/site.css")
    assert "site." in fresh.url("css/site.css")


def test_a_new_process_sees_the_new_manifest(manifest, site):
    collect()
    before = staticfiles_storage.url("js/name.js")
    B2ManifestStaticStorage(**staticfiles_storage._options).url("js/name.js")
    (site / "js" / "name.js").write_text("changed")
    collect()
    after = B2ManifestStaticStorage(**staticfiles_storage._options).url("js/name.js")
    assert after != before
    assert fetch(after)[0] == b"changed"


def test_the_manifest_may_be_kept_elsewhere(use, tmp_path, versions):
    use(B2ManifestStaticStorage, manifest_storage=FileSystemStorage(tmp_path))
    collect()
    assert json.loads((tmp_path / "staticfiles.json").read_text())["paths"].keys() == NAMES
    assert "staticfiles.json" not in versions()
    assert fetch(staticfiles_storage.url("css/site.css"))[0]


# URLs


def test_a_template_links_to_b2(manifest, static_bucket, emulator):
    collect()
    template = Template("{% load static %}{% static 'css/site.css' %}")
    with emulator.counted() as operations:
        url = template.render(Context())
    assert operations == []
    hashed = staticfiles_storage.hashed_files["css/site.css"]
    assert url == f"{emulator.realm}/file/{static_bucket}/{hashed}"


def test_in_debug_mode_links_have_no_hash(manifest, settings, static_bucket, emulator):
    settings.DEBUG = True
    assert staticfiles_storage.url("css/site.css") == f"{emulator.realm}/file/{static_bucket}/css/site.css"


@pytest.mark.parametrize("storage", [B2StaticStorage, B2ManifestStaticStorage])
def test_a_link_to_the_cdn_needs_no_b2(use, site, storage, emulator):
    use(storage, cdn={"base_url": "https://cdn.example.com/", "include_bucket_url_segments": False})
    collect()
    with emulator.counted() as operations:
        assert staticfiles_storage.url("img/dot.png").startswith("https://cdn.example.com/img/dot.")
    assert operations == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("img/a b.png", "img/a%20b.png"),
        ("img/ä#?.png", "img/%C3%A4%23%3F.png"),
        ("/css/site.css", "css/site.css"),
        ("css/", "css/"),
        ("", ""),
    ],
)
def test_a_link_is_quoted_and_may_lead_to_a_folder(use, name, path):
    use(B2StaticStorage, location="static", cdn={"base_url": "https://cdn.example.com"})
    assert staticfiles_storage.url(name) == f"https://cdn.example.com/static/{path}"


def test_a_font_with_the_hack_for_old_browsers_is_found(manifest):
    collect()
    hashed = staticfiles_storage.hashed_files["img/icons.eot"]
    assert staticfiles_storage.url("img/icons.eot?#iefix").endswith(f"/{hashed}?#iefix")


# What it is told


def test_the_storage_is_as_static_files_need_it(plain):
    storage = B2StaticStorage(bucket="acme-static")
    assert storage.level == "public"
    assert storage.exists("")
    assert storage.get_available_name("css/site.css") == "css/site.css"


def test_it_takes_no_other_access():
    with pytest.raises(NotConfigured, match='no access but "public"'):
        B2StaticStorage(bucket="acme-static", access="staff")


@pytest.mark.parametrize("location", ["", "media"])
def test_it_refuses_to_clear_where_other_files_are(use, settings, bucket, b2_api, location):
    settings.B2FIELDS_LOCATION = "media/uploads"
    use(B2StaticStorage, bucket=bucket, location=location)
    b2_api.get_bucket_by_name(bucket).upload_bytes(b"a contract", "media/uploads/contract.pdf")
    with pytest.raises(PolicyConflict, match="of its own"):
        collect(clear=True)
    assert B2Storage().exists("contract.pdf")


def test_a_location_beside_public_files_is_enough(use, settings, static_bucket, b2_api):
    settings.B2FIELDS_BUCKETS = {"public": static_bucket}
    settings.B2FIELDS_LOCATION = "media"
    use(B2StaticStorage, location="static")
    b2_api.get_bucket_by_name(static_bucket).upload_bytes(b"a cover", "media/cover.png")
    collect(clear=True)
    assert B2Storage(access="public").exists("cover.png")
    assert staticfiles_storage.exists("css/site.css")


def test_it_refuses_a_bucket_that_visitors_cannot_read(use, make_bucket):
    use(B2StaticStorage, bucket=make_bucket("allPrivate"))
    with pytest.raises(PolicyConflict, match="nothing says that visitors can read it"):
        collect()


def test_a_cdn_may_serve_a_private_bucket(use, make_bucket):
    cdn = {"base_url": "https://cdn.example.com"}
    use(B2StaticStorage, bucket=make_bucket("allPrivate"), cdn=cdn)
    assert collect() == "9 static files copied."
    assert staticfiles_storage.url("css/site.css") == "https://cdn.example.com/css/site.css"


def test_outside_of_collectstatic_it_does_what_it_says_at_once(plain, versions):
    assert staticfiles_storage.save("a.css", ContentFile(b"a")) == "a.css"
    assert staticfiles_storage.save("a.css", ContentFile(b"b")) == "a.css"
    assert staticfiles_storage.open("a.css").read() == b"b"
    assert staticfiles_storage.get_modified_time("a.css").timestamp() * 1000 == pytest.approx(
        versions()["a.css"].upload_timestamp, abs=1
    )
    staticfiles_storage.delete("a.css")
    assert not staticfiles_storage.exists("a.css")
    assert versions() == {}


def test_it_can_be_pickled(manifest):
    storage = storages["staticfiles"]
    assert pickle.loads(pickle.dumps(storage)).bucket == storage.bucket


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_compare_with_and_without_time_zones(plain, emulator, use_tz):
    with override_settings(USE_TZ=use_tz):
        collect()
        assert cost(emulator)[1] == "0 static files copied, 9 unmodified."
