from django import forms
from django.utils.html import format_html

from matters.models import Matter
from matters.readers import b2_fields, filename_of, who_may_read, why


class FileInput(forms.ClearableFileInput):
    """Django's file input with its clear checkbox, laid out for this site."""

    template_name = "matters/file_input.html"

    def get_context(self, name, value, attrs):
        context = super().get_context(name, value, attrs)
        if self.is_initial(value):
            context["widget"]["filename"] = filename_of(value)
        return context


class MatterForm(forms.ModelForm):
    """The title and all four files; whoever creates a matter is its owner."""

    class Meta:
        model = Matter
        fields = ["title", *(field.name for field in b2_fields(Matter))]
        widgets = {field.name: FileInput for field in b2_fields(Matter)}
        error_messages = {
            # Django's own message speaks of a "clear checkbox", which has another label here.
            field.name: {"contradiction": "Choose a new file or tick “Remove this file”, but not both."}
            for field in b2_fields(Matter)
        }
        help_texts = {
            field.name: format_html("{}: <code>{}</code>", who_may_read(field), why(field))
            for field in b2_fields(Matter)
        }
