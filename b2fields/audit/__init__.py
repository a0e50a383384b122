"""What ``manage.py b2_audit`` does: it looks at B2 and at the rows, tells how they differ, and removes."""

from b2fields.audit.places import find_places
from b2fields.audit.records import Totals
from b2fields.audit.removal import hide, remove
from b2fields.audit.survey import Finding, Survey

__all__ = ["Finding", "Survey", "Totals", "find_places", "hide", "remove"]
