"""The form field of B2ImageField: it looks at the head of an image before anything is decoded."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _


class B2ImageFormField(forms.ImageField):
    """Django's ImageField that takes only what browsers show, and no image that is a bomb.

    Subclass it for other ``formats`` (by Pillow's names), and for how many ``max_frames`` an
    animation may have. The most pixels are ``PIL.Image.MAX_IMAGE_PIXELS``.
    """

    formats: ClassVar[tuple[str, ...]] = ("PNG", "JPEG", "GIF", "WEBP")
    max_frames: ClassVar[int] = 1000

    default_error_messages: ClassVar[dict[str, Any]] = {
        "too_many_pixels": _("This image is too large: it has %(width)d × %(height)d pixels."),  # noqa: RUF001
        "too_many_frames": _("This animation is too long: it has more than %(limit)d frames."),
    }

    def to_python(self, data: Any) -> Any:
        if data and hasattr(data, "read"):
            self._check_head(data)
        return super().to_python(data)

    def _check_head(self, file: Any) -> None:
        from PIL import Image

        try:
            image = Image.open(file, formats=self.formats)
            width, height = image.size
            # Counted without being decoded.
            frames = getattr(image, "n_frames", 1)
        except Exception as error:
            # Pillow raises what its formats raise, and its bomb warning where warnings are errors.
            raise self._error("invalid_image") from error
        finally:
            file.seek(0)
        if Image.MAX_IMAGE_PIXELS is not None and width * height > Image.MAX_IMAGE_PIXELS:
            raise self._error("too_many_pixels", width=width, height=height)
        if frames > self.max_frames:
            raise self._error("too_many_frames", limit=self.max_frames)

    def _error(self, code: str, **params: Any) -> ValidationError:
        return ValidationError(self.error_messages[code], code=code, params=params)
