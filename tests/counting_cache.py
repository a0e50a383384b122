from typing import ClassVar

from django.core.cache.backends.locmem import LocMemCache


class CountingCache(LocMemCache):
    """A cache that notes each access."""

    accesses: ClassVar[list[str]] = []


def _noting(method):
    def noted(self, *args, **kwargs):
        self.accesses.append(method)
        return getattr(LocMemCache, method)(self, *args, **kwargs)

    return noted


for name in ("get", "set", "add", "delete", "touch", "incr", "has_key"):
    setattr(CountingCache, name, _noting(name))
