"""What the emulator remembers: the database, the bodies and the clock, in one data directory."""

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from b2fields.emulator.bodies import Bodies, Piece
from b2fields.emulator.database import Database
from b2fields.emulator.rules import CAPABILITIES


class State:
    """An open data directory."""

    def __init__(self, data: Path) -> None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The directory holds application keys and often lies inside a project: keep it out of its repository.
        (data / ".gitignore").write_text("*\n")
        self.database = Database(data / "emulator.sqlite3")
        self.bodies = Bodies(data)
        self.bodies.sweep({row["body"] for row in self.database.rows("SELECT DISTINCT body FROM pieces")})
        self.clock_offset = 0.0
        self.uploading: set[str] = set()  # upload tokens at work; each serves one upload at a time
        self.test_modes: Counter[str] = Counter()  # requests that asked for failures, by the mode
        self.database.run("DELETE FROM tokens WHERE expires < ?", self.now())
        self.account_id = ""  # the id of its master key too, as on the service: see set_master_key

    def close(self) -> None:
        self.database.close()

    def now(self) -> int:
        """Return the emulator's time in milliseconds since 1970; tests can move it."""
        return int((time.time() + self.clock_offset) * 1000)

    def set_master_key(self, given: tuple[str, str] | None) -> tuple[str, str]:
        """Make the *given* id and secret the master key, or else the kept one, or a new one; return it.

        Its id is also the account's, which stands in for it anywhere (b2_authorize_account).
        """
        with self.database.transaction():
            kept = self.database.row("SELECT key_id, secret FROM keys WHERE is_master")
            given = given or (tuple(kept) if kept else (secrets.token_hex(6), secrets.token_hex(20)))
            if kept is None or tuple(kept) != given:
                self.database.run("DELETE FROM keys WHERE is_master OR key_id = ?", given[0])
                self.database.run(
                    "INSERT INTO keys VALUES (?, ?, 'master', 1, ?, NULL, NULL, NULL)",
                    *given,
                    json.dumps(CAPABILITIES),
                )
        self.account_id = given[0]
        return given

    def empty(self) -> None:
        """Forget all but the account and its master key, as a fresh data directory with that key would."""
        with self.database.transaction():
            for table in ("pieces", "parts", "versions", "buckets", "tokens"):
                self.database.run(f"DELETE FROM {table}")  # noqa: S608 - the names stand above
            self.database.run("DELETE FROM keys WHERE NOT is_master")
        self.bodies.empty()

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
