from django.apps import AppConfig, apps

# Imported here, early, for its effect: the defaults of our settings. A first import inside
# override_settings would lose them again when the override ends.
from b2fields import conf  # noqa: F401


class B2FieldsApp(AppConfig):
    name = "b2fields"
    verbose_name = "Backblaze B2 fields"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Registers the system checks; it needs the app registry, so not at the top.
        from b2fields import checks  # noqa: F401
        from b2fields.cleanup import checks as cleanup_checks  # noqa: F401
        from b2fields.cleanup import drops

        drops.connect()

        if apps.is_installed("rest_framework"):
            from b2fields import serializers  # noqa: F401
