"""Django file fields for Backblaze B2: the storage policy stands on the model field."""

from b2fields.fields import B2FileField, B2ImageField
from b2fields.policy import has_perm
from b2fields.storage import B2Storage

__all__ = ["B2FileField", "B2ImageField", "B2Storage", "__version__", "has_perm"]

__version__ = "0.1.0"
