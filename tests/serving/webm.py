"""A video for tests, without a video encoder: VP8's key frames are what a WebP file holds.

Matroska is defined by RFC 9559, WebP by RFC 9649.
"""

import io
import struct

from PIL import Image

SIZE = (320, 240)


def webm(frames):
    """Return a WebM file that shows each VP8 key frame for a second, and can be sought by its cues."""
    head = _element(
        "1549a966",
        *(_element("2ad7b1", _number(1_000_000)), _element("4489", struct.pack(">d", len(frames) * 1000))),
        *(_element("4d80", b"tests"), _element("5741", b"tests")),
    ) + _element(
        "1654ae6b",
        _element(
            "ae",
            *(_element("d7", _number(1)), _element("73c5", _number(1)), _element("83", _number(1))),
            _element("86", b"V_VP8"),
            _element("e0", _element("b0", _number(SIZE[0])), _element("ba", _number(SIZE[1]))),
        ),
    )
    clusters = [
        # Track 1, no time after its cluster's, a key frame.
        _element("1f43b675", _element("e7", _number(n * 1000)), _element("a3", b"\x81\0\0\x80" + frame))
        for n, frame in enumerate(frames)
    ]
    # All numbers have one length, so the cues are as long before their positions are known.
    position = len(head) + len(_cues([0] * len(frames)))
    positions = []
    for cluster in clusters:
        positions.append(position)
        position += len(cluster)
    header = _element(
        "1a45dfa3",
        *(_element(name, _number(value)) for name, value in [("4286", 1), ("42f7", 1), ("42f2", 4)]),
        *(_element("42f3", _number(8)), _element("4282", b"webm")),
        *(_element("4287", _number(2)), _element("4285", _number(2))),
    )
    return header + _element("18538067", head, _cues(positions), *clusters)


def _cues(positions):
    return _element(
        "1c53bb6b",
        *(
            _element(
                "bb",
                _element("b3", _number(n * 1000)),
                _element("b7", _element("f7", _number(1)), _element("f1", _number(position))),
            )
            for n, position in enumerate(positions)
        ),
    )


def _element(name, *content):
    data = b"".join(content)
    return bytes.fromhex(name) + (len(data) | 1 << 56).to_bytes(8) + data


def _number(value):
    return value.to_bytes(8)


def plain_frame(colour):
    return _frame(Image.new("RGB", SIZE, colour))


def noisy_frame():
    """Return a frame of nearly 200 kB."""
    return _frame(Image.merge("RGB", [Image.effect_noise(SIZE, 200)] * 3))


def _frame(image):
    file = io.BytesIO()
    image.save(file, "WEBP", quality=100, method=0)
    # The one chunk of a plain WebP file: "RIFF", its size, "WEBP", "VP8 ", its size.
    data = file.getvalue()
    assert data[12:16] == b"VP8 "
    return data[20 : 20 + int.from_bytes(data[16:20], "little")]
