"""System checks of what visitors may upload, and of how they are served. None of them asks B2."""

from typing import Any

from django.core.checks import CheckMessage, register

from b2fields import serving
from b2fields.settingschecks import _errors_of
from b2fields.storage import B2Storage

# By option: the id and the hint.
_OF_HEADERS = {
    "private_cache_control": ("b2fields.E024", 'Use "private, no-cache", "private, no-store", or None.'),
    "inline_types": (
        "b2fields.E025",
        'Name types that b2fields sends and browsers do not run, such as "audio/flac". For PDF set '
        "B2FIELDS_INLINE_PDF, or pass inline_pdf=True to a field; SVG is shown by <img> all the same.",
    ),
    "inline_pdf": ("b2fields.E025", "PDF is shown by a field with inline_pdf=True."),
    "content_security_policy": (
        "b2fields.E026",
        "Give the whole policy, with default-src 'none', frame-ancestors and sandbox, and no source that "
        "b2fields.http.CSP lacks; or None.",
    ),
    "public_cache_control": ("b2fields.E028", 'Use for example "public, max-age=86400".'),
    "public_corp": ("b2fields.E028", 'Use "cross-origin", "same-site" or "same-origin".'),
    "vary": ("b2fields.E028", 'Use for example ("Authorization",).'),
}


@register()
def check_headers(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for option, (id, hint) in _OF_HEADERS.items():

        def read(storage: B2Storage, option: str = option) -> object:
            return serving.READERS[option](storage._option(option))

        found += _errors_of(read, hint, id)
    return found


@register()
def check_anonymous(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.anonymous,
        hint="302 sends anonymous visitors to LOGIN_URL; 404 tells them nothing.",
        id="b2fields.E027",
    )


@register()
def check_max_size(**kwargs: Any) -> list[CheckMessage]:
    return _errors_of(
        lambda storage: storage.max_size,
        hint="Use for example 10 * 1024 * 1024, or None for no limit.",
        id="b2fields.E029",
    )
