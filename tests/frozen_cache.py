from typing import ClassVar

from django.core.cache.backends.locmem import LocMemCache


class FrozenCache(LocMemCache):
    """A cache that, once frozen, is read and not written, as Redis is when its disk is full."""

    is_frozen: ClassVar[bool] = False


def _refusing(method):
    def refusing(self, *args, **kwargs):
        if FrozenCache.is_frozen:
            raise ConnectionError("READONLY")
        return getattr(LocMemCache, method)(self, *args, **kwargs)

    return refusing


for name in ("set", "add", "delete", "touch", "incr"):
    setattr(FrozenCache, name, _refusing(name))
