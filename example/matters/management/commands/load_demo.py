"""Load the demo users and matters, once."""

from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand
from django.db import transaction

from matters import demo_files
from matters.demo_users import USERS
from matters.models import Matter


class Command(BaseCommand):
    help = "Load the demo users and, unless there are matters already, the demo matters with their files."

    def handle(self, **options):
        # All or nothing: a start that is broken off leaves no half of the demo that the next would keep.
        with transaction.atomic():
            users = {user.username: load_user(user) for user in USERS}
            found = Matter.objects.count()
            if not found:
                for matter in demo_files.MATTERS:
                    load_matter(matter, users)
        done = f"Found {found}" if found else f"Loaded {Matter.objects.count()}"
        self.stdout.write(f"{done} matters.")


def load_user(demo):
    user, is_new = User.objects.get_or_create(
        username=demo.username, defaults={"is_staff": demo.is_staff, "is_superuser": demo.is_superuser}
    )
    if is_new:
        user.set_password(demo.username)
        user.save()
        if demo.is_staff:
            user.user_permissions.set(Permission.objects.filter(content_type__app_label="matters"))
    return user


def load_matter(demo, users):
    matter = Matter(title=demo.title, owner=users[demo.owner])
    for field, (name, content) in demo.files.items():
        setattr(matter, field, ContentFile(content(), name))
    matter.save()
