"""Copying the files of existing rows from another storage into B2: verified, and resumed after a kill."""

from b2fields.importing.plan import CHANGED, COPIED, FAILED, OUTCOMES, THERE, Job, Outcome, Plan
from b2fields.importing.running import run

__all__ = ["CHANGED", "COPIED", "FAILED", "OUTCOMES", "THERE", "Job", "Outcome", "Plan", "run"]
