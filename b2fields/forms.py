"""The form field of B2ImageField, and how it looks at the head of an image before anything decodes it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import FileExtensionValidator, validate_image_file_extension
from django.utils.translation import gettext_lazy as _

# By Pillow's names: what browsers show.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MAX_FRAMES = 1000

IMAGE_ERRORS: dict[str, Any] = {
    **forms.ImageField.default_error_messages,
    "wrong_format": _("Upload an image of the format %(formats)s. This file is of another one, or damaged."),
    "too_many_pixels": _("This image is too large: at most %(millions).3g million pixels."),
    "too_many_frames": _("This animation is too long: it has more than %(limit)d frames."),
}


def check_image(file: Any, formats: tuple[str, ...] = FORMATS, max_frames: int = MAX_FRAMES) -> None:
    """Raise ValidationError for another format, or a bomb, by what the head of an image says.

    *file* is left at its start.
    """
    from PIL import Image

    try:
        image = Image.open(file, formats=formats)
        width, height = image.size
        # Counted without being decoded.
        frames = getattr(image, "n_frames", 1)
        is_too_large = Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        is_too_large = True
    except Exception as error:
        # Pillow raises what its formats raise.
        raise _error("wrong_format", formats=_listed(formats)) from error
    finally:
        file.seek(0)
    if is_too_large:
        raise _error("too_many_pixels", millions=(Image.MAX_IMAGE_PIXELS or 0) / 1_000_000)
    if frames > max_frames:
        raise _error("too_many_frames", limit=max_frames)


def check_extension(file: Any, formats: tuple[str, ...] = FORMATS) -> None:
    """Raise ValidationError for a name that no image of these formats has."""
    from PIL import Image

    extensions = Image.registered_extensions().items()
    FileExtensionValidator(sorted(extension[1:] for extension, of in extensions if of in formats))(file)


def _listed(formats: tuple[str, ...]) -> str:
    *others, last = formats
    return f"{', '.join(others)} or {last}" if others else last


def _error(code: str, **params: Any) -> ValidationError:
    return ValidationError(IMAGE_ERRORS[code], code=code, params=params)


class B2ImageFormField(forms.ImageField):
    """Django's ImageField that has *check* look at an upload first.

    Django's has Pillow open whatever it can, and some formats are decoded by that.
    """

    default_error_messages = IMAGE_ERRORS

    def __init__(
        self,
        *,
        check: Callable[[Any], None] = check_image,
        formats: tuple[str, ...] = FORMATS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._check = check
        # In place of Django's, which names every extension that Pillow knows.
        own = partial(check_extension, formats=formats)
        self.validators = [
            own,
            *(each for each in self.validators if each is not validate_image_file_extension),
        ]

    def to_python(self, data: Any) -> Any:
        if data and hasattr(data, "read"):
            try:
                self._check(data)
            except ValidationError as error:
                # In the words of this field, as Django has it for validators.
                error.message = self.error_messages.get(error.code or "", error.message)
                raise
        return super().to_python(data)
