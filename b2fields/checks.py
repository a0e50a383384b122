"""System checks of the project; those of a field are its own ``check()``.

None of them asks B2, but for that of bucket types, which only ``check --deploy`` runs.
"""

import difflib
from typing import Any

import django
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from b2fields import (
    conf,
    metadata,
    policy,
    references,
    servingchecks,  # noqa: F401 - registers more
    settingschecks,  # noqa: F401 - registers more
    usage,
)
from b2fields.b2 import shared_deadline
from b2fields.exceptions import B2FieldsError, InvalidMetadata, NotConfigured, PolicyConflict
from b2fields.storage import B2Storage

# Earlier ones ignore Cache-Control in mixed case and send session cookies with public responses.
_SAFE_DJANGO = {(5, 2): (5, 2, 15), (6, 0): (6, 0, 6)}


@register()
def check_names(**kwargs: Any) -> list[CheckMessage]:
    """Find settings that nobody reads, for want of a letter."""
    known = [name for name in vars(conf.B2FieldsConf) if name.isupper()]
    declared = (name.removeprefix("B2FIELDS_") for name in dir(settings) if name.startswith("B2FIELDS_"))
    return [
        Warning(
            f"B2FIELDS_{name} is no setting of b2fields, so nothing follows from it.",
            hint=_nearest(name, known),
            id="b2fields.W042",
        )
        for name in declared
        if name not in known
    ]


def _nearest(name: str, known: list[str]) -> str:
    # Without the prefix, which alone would make any two of them look alike.
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean B2FIELDS_{near[0]}?" if near else "Remove it; the README lists all there are."


@register()
def check_access(**kwargs: Any) -> list[CheckMessage]:
    access: object = settings.B2FIELDS_ACCESS
    if policy.is_valid(access):
        return []
    return [
        Error(
            f"B2FIELDS_ACCESS is {access!r}, which is no access level.",
            hint='Use "public", "login", "staff", or a (not async) callable(request, instance) -> bool.',
            id="b2fields.E004",
        )
    ]


@register()
def check_buckets(**kwargs: Any) -> list[CheckMessage]:
    buckets: dict[str, str] = settings.B2FIELDS_BUCKETS
    return [
        Error(
            f"B2FIELDS_BUCKETS has the key {level!r}, which is no access level.",
            hint='Its keys are "public", "login", "staff" and "object" (for callables).',
            id="b2fields.E005",
        )
        for level in buckets
        if level not in policy.LEVELS
    ]


@register()
def check_fields_have_buckets(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for field in references.b2_fields():
        if policy.is_valid(field.access if field.access is not None else settings.B2FIELDS_ACCESS):
            try:
                field.b2_storage.bucket  # noqa: B018 - finding it is the check
            except ImproperlyConfigured:
                found.append(
                    Warning(
                        "No bucket is named for this field's files.",
                        hint="Set B2FIELDS_BUCKET to a bucket's name, or pass bucket= to the field.",
                        obj=field,
                        id="b2fields.W008",
                    )
                )
    return found


@register()
def check_routes(**kwargs: Any) -> list[CheckMessage]:
    if not getattr(settings, "ROOT_URLCONF", None) or not any(references.b2_fields()):
        return []
    try:
        reverse("b2fields:public", args=["label", "name"])
    except NoReverseMatch:
        return [
            Warning(
                "The URLs of b2fields are not installed, so no file has a URL.",
                hint='Add path("", include("b2fields.urls")) to the urlconf.',
                id="b2fields.W010",
            )
        ]
    return []


@register()
def check_metadata(**kwargs: Any) -> list[CheckMessage]:
    try:
        metadata.checked_info(settings.B2FIELDS_METADATA, "")
    except InvalidMetadata as error:
        hint = "Correct or remove this key of B2FIELDS_METADATA."
        return [Error(str(error), hint=hint, id="b2fields.E011")]
    return []


@register(deploy=True)
def check_application_key(**kwargs: Any) -> list[CheckMessage]:
    try:
        B2Storage().account  # noqa: B018 - finding it is the check
    except NotConfigured as error:
        hint = "Fields whose storage brings its own key do not need it."
        return [Warning(str(error), hint=hint, id="b2fields.W009")]
    return []


@register(deploy=True)
def check_bucket_types(**kwargs: Any) -> list[CheckMessage]:
    """Ask B2 whether private policies stand on private buckets; without an answer nothing is said."""
    found: dict[str, CheckMessage] = {}
    with shared_deadline():
        for use in usage.collect()[0]:
            try:
                use.storage.check_policy(create=False)
            except PolicyConflict as error:
                hint = "Nothing is uploaded there until then; everybody may be able to read what is there."
                found[str(error)] = Error(str(error), hint=hint, id="b2fields.E032")
            except B2FieldsError:
                continue  # What has no bucket or no key is for other checks, and whether B2 answers for none.
    return list(found.values())


@register()
def check_django(**kwargs: Any) -> list[CheckMessage]:
    wanted = _SAFE_DJANGO.get(django.VERSION[:2])
    if wanted is None or django.VERSION[:3] >= wanted:
        return []
    version = ".".join(map(str, wanted))
    return [
        Warning(
            f"Django {django.get_version()} may let a shared cache keep a private file.",
            hint=f"Update to Django {version} or later.",
            id="b2fields.W006",
        )
    ]
