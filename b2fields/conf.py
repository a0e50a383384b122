"""Every setting of b2fields, with its default. Read them as ``settings.B2FIELDS_…`` at the moment of use.

Only ``apps`` and the checks that it loads import this module: it needs configured settings, which
importing the package does not.
"""

from typing import Any

from appconf import AppConf


class B2FieldsConf(AppConf):
    """Defaults of the ``B2FIELDS_*`` settings; importing this class writes them onto ``settings``."""

    # The account. Unset, they come from the environment: B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY.
    APPLICATION_KEY_ID: str | None = None
    APPLICATION_KEY: str | None = None
    # "production", or the URL of another service that speaks B2's API, such as the emulator.
    REALM: str = "production"
    # Where the account's short-lived tokens are shared: {"type": "cache", "alias": …},
    # {"type": "sqlite", "path": …} or {"type": "memory"}.
    ACCOUNT_INFO: dict[str, Any] = {"type": "cache", "alias": "default"}

    # Where files go: a bucket for all, or one for each access level ("public", "login", "staff", "object").
    BUCKET: str | None = None
    BUCKETS: dict[str, str] = {}
    # The settings of a bucket to create if it is missing: {} for a private one without any.
    CREATE_BUCKET: dict[str, Any] | None = None
    # A prefix of every file name in the bucket, such as "media".
    LOCATION: str = ""

    # Who may read a file whose field says nothing: "public", "login", "staff" or a callable.
    ACCESS: object = "login"
    # How files reach those who may read them: "proxy", "redirect" (a link to B2) or "accel" (nginx).
    DELIVERY: str = "proxy"
    # Put each upload into a random folder of its own (fields), and let an upload take the name of another.
    UNIQUE_NAMES: bool = True
    OVERWRITE: bool = False
    # Seconds that a signed link is valid, at most a week (604800).
    URL_EXPIRY: int = 300
    # Who serves the public files: {"base_url": …, "include_bucket_url_segments": …}.
    CDN: dict[str, Any] | None = None
    # None, "SSE-B2", or {"mode": "SSE-C", "key": …, "key_id": …}.
    ENCRYPTION: Any = None
    # The most bytes of an upload; None for no limit.
    MAX_SIZE: int | None = None
    # B2 file info stored with every upload.
    METADATA: dict[str, str] = {}

    # How this site serves files, within the limits of serving.py. None: by level, and the base policy.
    PUBLIC_CACHE_CONTROL: str = "public, max-age=3600"
    PRIVATE_CACHE_CONTROL: str | None = None
    PUBLIC_CORP: str = "cross-origin"
    CONTENT_SECURITY_POLICY: str | None = None
    # Media types that browsers show instead of saving, beside the safe ones; and whether they show PDF.
    INLINE_TYPES: tuple[str, ...] = ()
    INLINE_PDF: bool = False
    # Request headers, beside Cookie, that say who asks, such as "Authorization".
    VARY: tuple[str, ...] = ()
    # The status for an anonymous visitor of a private file: 302, to LOGIN_URL, or 404.
    ANONYMOUS: int = 302

    # Remove the file that a row no longer names: when it is replaced or cleared, and when the row goes.
    CLEANUP: bool = False
    # How a file is removed: "delete" every version, or "hide", from which it can be brought back.
    DELETE: str = "delete"
    # Seconds that the file is kept before; and the Django Tasks backend that removes it, by its alias.
    CLEANUP_DELAY: float = 0
    TASKS: str | None = None

    # Seconds that size, checksum and time of a file are remembered in Django's cache; 0 turns that off.
    METADATA_TIMEOUT: int = 3600
    # Bytes of an upload kept in memory before it goes to a temporary file.
    MAX_MEMORY_SIZE: int = 4 * 1024 * 1024
    # What is larger goes up in parts of so many bytes, several at a time; None: as B2 recommends (100 MB).
    PART_SIZE: int | None = None
    UPLOAD_THREADS: int = 4

    # Seconds to connect, seconds without a byte, further tries, and seconds after which none is begun.
    CONNECT_TIMEOUT: float = 5
    READ_TIMEOUT: float = 20
    RETRIES: int = 2
    DEADLINE: float = 30

    class Meta:
        prefix = "B2FIELDS"
