"""Reading a download of b2sdk as a whole."""

import io


def read(downloaded) -> bytes:
    found = io.BytesIO()
    downloaded.save(found)
    return found.getvalue()
