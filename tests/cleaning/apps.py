from django.apps import AppConfig


class CleaningConfig(AppConfig):
    name = "tests.cleaning"
    label = "cleaning"
    default_auto_field = "django.db.models.BigAutoField"
