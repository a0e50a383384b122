import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import b2fields
import matters.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Matter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=100)),
                (
                    "cover",
                    b2fields.B2ImageField(
                        access="public",
                        blank=True,
                        height_field="cover_height",
                        upload_to="covers/",
                        width_field="cover_width",
                    ),
                ),
                ("minutes", b2fields.B2FileField(blank=True, upload_to="minutes/")),
                (
                    "scan",
                    b2fields.B2FileField(access="staff", blank=True, upload_to="scans/%Y/"),
                ),
                (
                    "dossier",
                    b2fields.B2FileField(
                        access=matters.models.may_read_dossier, blank=True, upload_to="dossiers/"
                    ),
                ),
                ("cover_width", models.PositiveIntegerField(editable=False, null=True)),
                ("cover_height", models.PositiveIntegerField(editable=False, null=True)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={"ordering": ["-pk"]},
        ),
    ]
