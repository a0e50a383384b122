"""The form field of B2ImageField, and how it looks at the head of an image before anything decodes it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

# By Pillow's names: what browsers show.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")
MAX_FRAMES = 1000

IMAGE_ERRORS: dict[str, Any] = {
    **forms.ImageField.default_error_messages,
    "too_many_pixels": _("This image is too large: it has %(width)d × %(height)d pixels."),  # noqa: RUF001
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
    except Exception as error:
        # Pillow raises what its formats raise, and its bomb warning where warnings are errors.
        raise _error("invalid_image") from error
    finally:
        file.seek(0)
    if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
        raise _error("too_many_pixels", width=width, height=height)
    if frames > max_frames:
        raise _error("too_many_frames", limit=max_frames)


def _error(code: str, **params: Any) -> ValidationError:
    return ValidationError(IMAGE_ERRORS[code], code=code, params=params)


class B2ImageFormField(forms.ImageField):
    """Django's ImageField that has *check* look at an upload first.

    Django's has Pillow open whatever it can, and some formats are decoded by that.
    """

    default_error_messages = IMAGE_ERRORS

    def __init__(self, *, check: Callable[[Any], None] = check_image, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._check = check

    def to_python(self, data: Any) -> Any:
        if data and hasattr(data, "read"):
            try:
                self._check(data)
            except ValidationError as error:
                # In the words of this field, as Django has it for validators.
                error.message = self.error_messages.get(error.code or "", error.message)
                raise
        return super().to_python(data)
