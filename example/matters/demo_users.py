"""Who one can be on this site. Plain data, so that run.py can print it without Django."""

from typing import NamedTuple


class DemoUser(NamedTuple):
    """Somebody whose password is no secret: it is the user name."""

    username: str
    role: str
    is_staff: bool = False
    is_superuser: bool = False

    @property
    def name(self) -> str:
        return self.username.capitalize()


USERS = [
    DemoUser("anna", "member, owns two of the matters"),
    DemoUser("ben", "member, owns the third matter"),
    DemoUser("sam", "staff", is_staff=True),
    DemoUser("admin", "superuser", is_staff=True, is_superuser=True),
]
