"""What the emulator remembers: the database, the bodies and the clock, in one data directory."""

import json
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from b2fields.emulator.bodies import Bodies, Piece
from b2fields.emulator.database import Database
from b2fields.emulator.rules import CAPABILITIES


class State:
    """An open data directory."""

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        # The directory holds application keys and often lies inside a project: keep it out of its repository.
        (data / ".gitignore").write_text("*\n")
        self.database = Database(data / "emulator.sqlite3")
        self.bodies = Bodies(data)
        self.bodies.sweep({row["body"] for row in self.database.rows("SELECT DISTINCT body FROM pieces")})
        self.clock_offset = 0.0
        self.uploading: set[str] = set()  # upload tokens at work; each serves one upload at a time
        self.database.run("DELETE FROM tokens WHERE expires < ?", self.now())
        self.account_id = self._remembered("account_id", secrets.token_hex(6))

    def close(self) -> None:
        self.database.close()

    def now(self) -> int:
        """Return the emulator's time in milliseconds since 1970; tests can move it."""
        return int((time.time() + self.clock_offset) * 1000)

    def _remembered(self, name: str, fresh: str) -> str:
        row = self.database.row("SELECT value FROM meta WHERE name = ?", name)
        if row is None:
            self.database.run("INSERT INTO meta VALUES (?, ?)", name, fresh)
        return str(row["value"]) if row else fresh

    def set_master_key(self, given: tuple[str, str] | None) -> tuple[str, str]:
        """Make the *given* id and secret the master key, or else the kept one, or a new one; return it."""
        with self.database.transaction():
            kept = self.database.row("SELECT key_id, secret FROM keys WHERE is_master")
            if given is None:
                given = (kept["key_id"], kept["secret"]) if kept else (self.account_id, secrets.token_hex(20))
            if kept is None or tuple(kept) != given:
                self.database.run("DELETE FROM keys WHERE is_master OR key_id = ?", given[0])
                self.database.run(
                    "INSERT INTO keys VALUES (?, ?, 'master', 1, ?, NULL, NULL, NULL)",
                    *given,
                    json.dumps(CAPABILITIES),
                )
        return given

    def pieces(self, owner: str) -> list[Piece]:
        rows = self.database.rows(
            "SELECT body, start, length FROM pieces WHERE owner = ? ORDER BY position", owner
        )
        return [Piece(*row) for row in rows]

    def add_pieces(self, owner: str, pieces: Iterable[Piece]) -> None:
        """Give the *owner*, a file id or a part, its bytes; call it in a transaction."""
        self.database.connection.executemany(
            "INSERT INTO pieces VALUES (?, ?, ?, ?, ?)",
            [(owner, number, *piece) for number, piece in enumerate(pieces)],
        )

    def drop_pieces(self, owner: str) -> list[str]:
        """Take the *owner*'s bytes away in a transaction; return the bodies to remove after its commit."""
        bodies = {piece.body for piece in self.pieces(owner)}
        self.database.run("DELETE FROM pieces WHERE owner = ?", owner)
        return [body for body in bodies if not self.database.row("SELECT 1 FROM pieces WHERE body = ?", body)]
