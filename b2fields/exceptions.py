"""What can go wrong. Each error is also the built-in that callers of any Django storage already catch."""

from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation


class B2FieldsError(Exception):
    """Base of all errors of this package; its message never holds an application key or a token."""


class NotConfigured(B2FieldsError, ImproperlyConfigured):
    """A setting or a field argument is missing or wrong; the message names it and the remedy."""


class PolicyConflict(NotConfigured):
    """A private policy meets a bucket that everybody can read, or one whose type the key may not see."""


class FileMissing(B2FieldsError, FileNotFoundError):
    """B2 holds no file of that name."""


class BucketMissing(B2FieldsError, OSError):
    """The application key sees no bucket of that name."""


class AccessRefused(B2FieldsError, PermissionError):
    """B2 refuses the application key, or the key lacks a capability."""


class CannotSign(B2FieldsError, ValueError):
    """No link would open this file, or none this file alone; this site can serve it all the same."""


class B2Unavailable(B2FieldsError, OSError):
    """B2 cannot be reached, is overloaded, or answered with an error; trying again later may help."""


class B2TimedOut(B2Unavailable, TimeoutError):
    """B2 did not answer within the configured seconds."""


class CapExceeded(B2FieldsError, OSError):
    """The account has reached one of the caps that its owner set at Backblaze."""


class DamagedFile(B2FieldsError, OSError):
    """What arrived is not what was stored: too short, or another checksum."""


class FileTooLarge(B2FieldsError, SuspiciousFileOperation):
    """An upload has more bytes than max_size allows; a view that lets it pass answers 400."""


class InvalidMetadata(B2FieldsError, ValueError):
    """File info that B2 would refuse."""
