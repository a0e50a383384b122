from django.db import migrations, models

import b2fields
import matters.models


class Migration(migrations.Migration):
    dependencies = [
        ("matters", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="matter",
            name="cover_info",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="matter",
            name="dossier_info",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="matter",
            name="minutes_info",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="matter",
            name="scan_info",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="matter",
            name="cover",
            field=b2fields.B2ImageField(
                access="public",
                blank=True,
                height_field="cover_height",
                info_field="cover_info",
                upload_to="covers/",
                width_field="cover_width",
            ),
        ),
        migrations.AlterField(
            model_name="matter",
            name="dossier",
            field=b2fields.B2FileField(
                access=matters.models.may_read_dossier,
                blank=True,
                info_field="dossier_info",
                upload_to="dossiers/",
            ),
        ),
        migrations.AlterField(
            model_name="matter",
            name="minutes",
            field=b2fields.B2FileField(blank=True, info_field="minutes_info", upload_to="minutes/"),
        ),
        migrations.AlterField(
            model_name="matter",
            name="scan",
            field=b2fields.B2FileField(
                access="staff", blank=True, info_field="scan_info", upload_to="scans/%Y/"
            ),
        ),
    ]
