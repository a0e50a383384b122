"""The error answers of the S3-compatible endpoint: codes of S3, told in XML."""

from http import HTTPStatus
from xml.sax.saxutils import escape

from b2fields.emulator.errors import B2Error

# S3's codes for errors that both APIs can come to.
CODES = {
    "bad_bucket_id": "NoSuchBucket",
    "bad_request": "InvalidArgument",
    "internal_error": "InternalError",
    "range_not_satisfiable": "InvalidRange",
}


def bad(code: str, message: str) -> B2Error:
    return B2Error(HTTPStatus.BAD_REQUEST, code, message)


def forbidden(code: str, message: str) -> B2Error:
    return B2Error(HTTPStatus.FORBIDDEN, code, message)


def missing(code: str, message: str) -> B2Error:
    return B2Error(HTTPStatus.NOT_FOUND, code, message)


def not_emulated(what: str) -> B2Error:
    """Refuse what real B2 can do and this emulator cannot: better than to pretend."""
    return not_implemented(f"{what} is not emulated")


def not_implemented(message: str) -> B2Error:
    return B2Error(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", message)


def to_xml(error: B2Error) -> bytes:
    """Return the body of an error, in the form that B2's have (edwardspec/mediawiki-aws-s3#64)."""
    code = CODES.get(error.code, error.code)
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Error>\n'
        f"    <Code>{escape(code)}</Code>\n    <Message>{escape(error.message)}</Message>\n</Error>\n"
    ).encode()
