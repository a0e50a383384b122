"""A local Backblaze B2: ``python -m b2fields.emulator``.

Knows HTTP and B2's native API only. It imports nothing from the rest of b2fields: shared code would share its
mistakes.
"""
