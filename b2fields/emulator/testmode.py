"""``X-Bz-Test-Mode``: how a client asks B2 to fail on purpose (page "Integration Checklist").

That page names the three modes and says what each is for. "Some" is here the first of every three requests
that the mode can hit, counted for each mode since the emulator started: a test can rely on the failure, and
on the two successes that follow. It is assumed that B2 ignores unknown modes, and that its S3-compatible
endpoint ignores all of them.
"""

from collections.abc import Iterable
from http import HTTPStatus

from b2fields.emulator import auth
from b2fields.emulator.errors import B2Error
from b2fields.emulator.state import State

HEADER = "x-bz-test-mode"
FAIL_UPLOADS = "fail_some_uploads"
EXPIRE_TOKENS = "expire_some_account_authorization_tokens"
EXCEED_CAP = "force_cap_exceeded"
EVERY = 3

UPLOADS = frozenset({"b2_upload_file", "b2_upload_part"})
# The checklist has the mode for "upload-related API calls"; that others meet their own caps is assumed.
STORING = UPLOADS | {
    *("b2_copy_file", "b2_copy_part", "b2_get_upload_part_url", "b2_get_upload_url", "b2_start_large_file"),
}
DOWNLOADS = frozenset(
    {
        *("b2_download_file_by_id", "b2_download_file_by_name"),
        *("head_file_by_id", "head_file_by_name"),
    }
)
FREE = frozenset({"b2_authorize_account"})


def apply(state: State, modes: Iterable[str], operation: str, token: str | None) -> None:
    """Let an *operation* of the native API fail if the *modes* ask for it; *token* is the client's."""
    if EXCEED_CAP in modes and operation not in FREE:
        raise _cap_exceeded(operation)
    if FAIL_UPLOADS in modes and operation in UPLOADS and _is_due(state, FAIL_UPLOADS):
        raise B2Error(HTTPStatus.SERVICE_UNAVAILABLE, "service_unavailable", f"{HEADER}: {FAIL_UPLOADS}")
    if (
        EXPIRE_TOKENS in modes
        and state.database.row("SELECT 1 FROM tokens WHERE token = ? AND kind = ?", token, auth.ACCOUNT)
        and _is_due(state, EXPIRE_TOKENS)
    ):
        state.database.run("UPDATE tokens SET expires = 0 WHERE token = ?", token)


def _is_due(state: State, mode: str) -> bool:
    state.test_modes[mode] += 1
    return state.test_modes[mode] % EVERY == 1


def _cap_exceeded(operation: str) -> B2Error:
    cap = "storage" if operation in STORING else "download" if operation in DOWNLOADS else "transaction"
    return B2Error(HTTPStatus.FORBIDDEN, f"{cap}_cap_exceeded", f"{HEADER}: {cap} cap exceeded")
