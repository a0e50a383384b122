"""The error answers of B2: HTTP status, code and message.

Codes are those of B2's documentation ("Native API Error Handling" and the page of each operation); the
wording of the messages is ours unless a client is known to read it.
"""

from http import HTTPStatus


class B2Error(Exception):
    """An answer that B2 gives instead of the result."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def bad_request(message: str, code: str = "bad_request") -> B2Error:
    return B2Error(HTTPStatus.BAD_REQUEST, code, message)


def not_emulated(what: str) -> B2Error:
    """Refuse what real B2 can do and this emulator cannot: better than to pretend."""
    return bad_request(f"{what} is not emulated")


def unauthorized(message: str, code: str = "unauthorized") -> B2Error:
    return B2Error(HTTPStatus.UNAUTHORIZED, code, message)


def missing_token() -> B2Error:
    return unauthorized("Authorization token is missing", "missing_auth_token")


def bad_token() -> B2Error:
    return unauthorized("Invalid authorization token", "bad_auth_token")


def expired_token() -> B2Error:
    return unauthorized("Authorization token has expired", "expired_auth_token")


def access_denied(message: str) -> B2Error:
    return B2Error(HTTPStatus.FORBIDDEN, "access_denied", message)


def not_found(message: str) -> B2Error:
    return B2Error(HTTPStatus.NOT_FOUND, "not_found", message)


def method_not_allowed(method: str) -> B2Error:
    return B2Error(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", f"{method} is not allowed here")


def conflict(message: str) -> B2Error:
    return B2Error(HTTPStatus.CONFLICT, "conflict", message)


def range_not_satisfiable(size: int) -> B2Error:
    return B2Error(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "range_not_satisfiable",
        f"The range lies outside the file of {size} bytes",
        {"content-range": f"bytes */{size}"},
    )
