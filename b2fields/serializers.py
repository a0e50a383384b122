"""Django REST framework, in projects that have it: images are checked before anything decodes them.

Loaded by ``apps`` if rest_framework is installed. As the framework does itself for the fields of PostgreSQL,
it has each ModelSerializer take this field for a B2ImageField.
"""

from typing import Any

from rest_framework import serializers

from b2fields.fields import B2ImageField


class B2ImageSerializerField(serializers.ImageField):  # type: ignore[misc]  # it carries no type marker
    """The framework's ImageField, with the checks of the model's field first.

    The framework's own has Pillow open whatever it can, and some formats are decoded by that.
    """

    def to_internal_value(self, data: Any) -> Any:
        for validator in self.validators:
            if isinstance(getattr(validator, "__self__", None), B2ImageField):
                validator(data)
        return super().to_internal_value(data)


serializers.ModelSerializer.serializer_field_mapping[B2ImageField] = B2ImageSerializerField
