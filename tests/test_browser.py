"""A browser as the client: a headless Chromium that signs in, looks, plays, downloads, and runs no upload."""

from urllib.parse import quote

import pytest
from playwright.sync_api import sync_playwright

from tests import emulated
from tests.emulator.tools import find
from tests.images import png
from tests.serving import path_of, put
from tests.serving.servers import Server
from tests.serving.webm import noisy_frame, plain_frame, webm

PHOTO = path_of("legal.exhibit.photo", "photo.png", "staff")
UNICODE = "Vertrag „Müller & Söhne“, 文書 ½.pdf"

# All that runs says so, and the console hears it from every frame, worker and sandbox.
SCRIPT = b"console.log('owned')"
HTML = b'<!doctype html><title>upload</title><body onload="%b"><script>%b</script>' % (SCRIPT, SCRIPT)
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" onload="%b"><script>%b</script>'
    b'<rect width="40" height="30" fill="teal"/></svg>'
) % (SCRIPT, SCRIPT)
HOSTILE = {
    "page.html": HTML,
    "page.xhtml": HTML.replace(b"<!doctype html>", b'<html xmlns="http://www.w3.org/1999/xhtml">')
    + b"</body></html>",
    "no extension": HTML,
    "drawing.svg": SVG,
    "drawing.xml": SVG,
    "message.mhtml": b"Content-Type: text/html\r\n\r\n" + HTML,
}


@pytest.fixture(scope="module")
def browser_bucket(emulator_process, b2_api):
    return b2_api.create_bucket("served-to-a-browser", "allPrivate").name


@pytest.fixture(scope="module")
def chromium():
    program = find("chromium")
    with sync_playwright() as playwright:
        # In a container, tests may be root's, for whom Chromium has no sandbox.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--no-proxy-server"])


@pytest.fixture(scope="module", params=["proxy", "redirect"])
def site(request, emulator_process, browser_bucket, b2_api, chromium, tmp_path_factory):
    """The test project, whose files come from itself or from B2."""
    key = (emulated.KEY_ID, emulated.KEY)
    if request.param == "redirect":
        # No link that the browser follows is signed with a master key.
        made = b2_api.create_key(["listBuckets", "listFiles", "readFiles", "writeFiles"], "browser")
        key = (made.id_, made.application_key)
    database = tmp_path_factory.mktemp(request.param) / "database.sqlite3"
    server = Server("gunicorn", database, emulator_process.realm, browser_bucket, key, request.param)
    server.url = f"http://127.0.0.1:{server.port}"
    server.delivery = request.param
    put(emulator_process, browser_bucket, "photo.png", png(40, 30))
    server.hold("photo.png", "photo", "legal_exhibit")
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{server.url}/admin/login/")
        sign_in(page)
        server.cookies = context.storage_state()
    yield server
    server.close()


@pytest.fixture
def upload(site, emulator_process, browser_bucket):
    """Put a file into a field for those who are signed in, and return its URL."""

    def make(name, data):
        put(emulator_process, browser_bucket, name, data)
        site.hold(name, "minutes")
        emulator_process.clear()
        return site.url + path_of("legal.contract.minutes", quote(name))

    return make


@pytest.fixture
def context(site, chromium, emulator_process):
    """A browser that is signed in; ``ran`` are the uploads that it ran."""
    emulator_process.heal()
    emulator_process.clear()
    with chromium.new_context(storage_state=site.cookies) as context:
        context.ran = []
        context.on("console", lambda message: message.text == "owned" and context.ran.append(message))
        yield context


@pytest.fixture
def page(context, site):
    """The smallest page of the site."""
    page = context.new_page()
    page.goto(f"{site.url}/none")
    return page


def sign_in(page):
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", "admin")
    page.click("[type=submit]")


def shown_width(page, url):
    """Return the width of an image that a page shows, 0 if it cannot."""
    return page.evaluate(
        """url => new Promise(resolve => {
            const image = document.body.appendChild(new Image())
            image.onload = image.onerror = () => resolve(image.naturalWidth)
            image.src = url
        })""",
        url,
    )


def trust_the_site_alone(page):
    """Give the page the policy that uploads on the same site could get around."""
    page.evaluate(
        """() => {
            const policy = document.createElement("meta")
            policy.httpEquiv = "Content-Security-Policy"
            policy.content = "script-src 'self'; style-src 'self'"
            document.head.append(policy)
        }"""
    )


def outcome(page, tag, attributes):
    """Put an element into the page, and return whether what it names is a "load" or an "error"."""
    return page.evaluate(
        """([tag, attributes]) => new Promise(resolve => {
            const element = document.createElement(tag)
            element.onload = element.onerror = event => resolve(event.type)
            document.head.append(Object.assign(element, attributes))
        })""",
        [tag, attributes],
    )


def open_and_download(page, url):
    """Follow a link to what the browser does not show, and return the download."""
    before = page.url
    with page.expect_download() as download:
        page.evaluate("url => { location = url }", url)
    assert page.url == before
    return download.value


def test_a_visitor_signs_in_and_sees_the_image(site, chromium):
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(site.url + PHOTO)
        assert page.url == f"{site.url}/admin/login/?next={PHOTO}"
        assert shown_width(page, PHOTO) == 0
        sign_in(page)
        page.wait_for_url(lambda url: "login" not in url)
        assert page.evaluate("[document.contentType, document.images[0].naturalWidth]") == ["image/png", 40]


def test_a_page_shows_the_image(page):
    assert shown_width(page, PHOTO) == 40


def test_the_image_comes_from_where_the_field_says(page, site, emulator_process):
    with page.expect_response(lambda response: response.status == 200) as answer:
        shown_width(page, PHOTO)
    from_b2 = answer.value.url.startswith(emulator_process.realm)
    assert from_b2 == (site.delivery == "redirect")
    assert ("s3_get_object" in emulator_process.operations()) == from_b2


def test_a_file_uploaded_in_the_admin_is_saved_under_its_own_name(page, site):
    page.goto(f"{site.url}/admin/legal/contract/add/")
    page.set_input_files(
        "[name=minutes]", {"name": UNICODE, "mimeType": "application/pdf", "buffer": b"%PDF-1.4"}
    )
    page.click("[name=_continue]")
    with page.expect_download() as download:
        page.locator(".file-upload a").click()
    assert download.value.suggested_filename == UNICODE
    assert download.value.path().read_bytes() == b"%PDF-1.4"


def test_a_video_can_be_sought_and_plays_to_its_end(page, upload, emulator_process):
    film = webm([noisy_frame()] * 290 + [plain_frame("red")] * 10)
    url = upload("film.webm", film)
    # Else all of it might be there before the end is asked for.
    emulator_process.control("POST", "bandwidth", bytes_per_second=len(film) // 8)
    try:
        found = page.evaluate(
            """async url => {
                const video = document.createElement("video")
                const happens = name => new Promise((resolve, reject) => {
                    video.addEventListener(name, resolve, {once: true})
                    video.addEventListener("error", () => reject(video.error.message), {once: true})
                    setTimeout(reject, 20_000, `${name} never happened`)
                })
                document.body.append(Object.assign(video, {src: url, muted: true}))
                await happens("loadeddata")
                video.currentTime = 298
                await happens("seeked")
                const found = [video.duration, video.videoWidth, video.currentTime]
                video.play()
                await happens("ended")
                return found
            }""",
            url,
        )
    finally:
        emulator_process.control("POST", "bandwidth", bytes_per_second=None)
    assert found == [300, 320, 298]
    asked = [r["range"].removeprefix("bytes=").split("-") for r in emulator_process.requests()]
    assert asked[0][0] == "0"
    assert max(int(first) for first, _ in asked) > len(film) * 0.9
    assert sum(r["bytes_sent"] for r in emulator_process.requests()) < len(film)


def test_the_console_hears_a_script_that_runs(context):
    context.new_page().set_content(HTML.decode())
    assert len(context.ran) == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_an_upload_that_could_run_is_downloaded_when_opened(name, page, upload, context):
    download = open_and_download(page, upload(name, HOSTILE[name]))
    assert download.suggested_filename == name
    assert download.path().read_bytes() == HOSTILE[name]
    assert context.ran == []


def test_an_upload_is_downloaded_in_a_frame_too(page, upload, context):
    with page.expect_download():
        page.evaluate(
            "url => { document.body.append(Object.assign(document.createElement('iframe'), {src: url})) }",
            upload("page.html", HTML),
        )
    assert context.ran == []


def test_a_page_shows_an_svg_without_running_it(page, upload, context):
    assert shown_width(page, upload("drawing.svg", SVG)) == 40
    assert context.ran == []


def test_html_that_calls_itself_text_is_shown_as_text(page, upload, context):
    page.goto(upload("notes.txt", HTML))
    assert page.evaluate("document.contentType") == "text/plain"
    assert page.inner_text("body") == HTML.decode()
    assert context.ran == []


@pytest.mark.parametrize("name", ["code.js", "code.mjs", "code.txt"])
def test_an_upload_is_no_script_of_a_page_that_trusts_its_own_site(name, page, upload, context):
    url = upload(name, SCRIPT)
    trust_the_site_alone(page)
    assert outcome(page, "script", {"src": url}) == "error"
    assert outcome(page, "script", {"src": url, "type": "module"}) == "error"
    assert context.ran == []


def test_an_upload_is_no_stylesheet_of_a_page_that_trusts_its_own_site(page, upload):
    url = upload("style.css", b"body { display: none }")
    trust_the_site_alone(page)
    assert outcome(page, "link", {"href": url, "rel": "stylesheet"}) == "error"
    assert page.is_visible("body")


def test_an_upload_is_no_worker_of_the_site(page, upload, context):
    outcomes = page.evaluate(
        """url => Promise.all([
            navigator.serviceWorker.register(url).then(() => "runs", error => error.name),
            new Promise(resolve => {
                const worker = new Worker(url)
                worker.onmessage = () => resolve("runs")
                worker.onerror = () => resolve("refused")
            }),
        ])""",
        upload("worker.js", SCRIPT + b"; self.postMessage('runs')"),
    )
    assert outcomes == ["SecurityError", "refused"]
    assert context.ran == []
