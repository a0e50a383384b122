"""The demo matters. Their files are made here: paintings, a small PDF and plain text."""

import io
import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter


class DemoMatter(NamedTuple):
    title: str
    owner: str
    files: dict[str, tuple[str, Callable[[], bytes]]]


def landscape(size, sky, sun, hills):
    """Paint a sun over rows of hills, the farthest first, and return it as WebP."""
    width, height = size
    image = _blend(size, *sky)

    x, y, radius = width * sun[0], height * sun[1], height / 9
    glow = _disc(size, x, y, radius * 2, 110).filter(ImageFilter.GaussianBlur(radius * 0.8))
    glow = ImageChops.lighter(glow, _disc(size, x, y, radius, 255))
    image.paste(ImageColor.getrgb(sun[2]), mask=glow)

    # Each row fades into mist towards the next.
    mist = Image.linear_gradient("L").point(lambda value: int(value * 0.3)).resize(size)
    phase = sun[0] * 17  # Under another sun, other hills.
    for row, colour in enumerate(hills):
        base = height * (0.52 + 0.43 * row / len(hills))
        swing = height * (0.10 - 0.012 * row)
        edge = [
            (
                step,
                base
                - swing * math.sin(step / width * (3.1 + row) + row * 2.3 + phase)
                - swing / 2 * math.sin(step / width * (9.7 - row) + row * 5.1 + phase),
            )
            for step in range(0, width + 8, 8)
        ]
        hill = _shape(size, [*edge, (width, height), (0, height)])
        image.paste(ImageColor.getrgb(colour), mask=hill)
        image.paste(ImageColor.getrgb(sky[1]), mask=ImageChops.multiply(hill, mist))

    out = io.BytesIO()
    image.save(out, "WEBP", quality=86)
    return out.getvalue()


# Masks are painted at twice the size and reduced, which smooths their edges.


def _disc(size, x, y, radius, fill):
    mask = Image.new("L", (size[0] * 2, size[1] * 2))
    ImageDraw.Draw(mask).circle((x * 2, y * 2), radius * 2, fill=fill)
    return mask.reduce(2)


def _shape(size, outline):
    mask = Image.new("L", (size[0] * 2, size[1] * 2))
    ImageDraw.Draw(mask).polygon([(x * 2, y * 2) for x, y in outline], fill=255)
    return mask.reduce(2)


def _blend(size, top, bottom):
    down = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), down)


def pdf(title, *lines):
    """Return one A4 page: the smallest PDF that every reader opens."""
    text = [f"BT /F1 22 Tf 72 750 Td ({_escaped(title)}) Tj /F1 12 Tf 0 -18 Td"]
    text += [f"0 -18 Td ({_escaped(line)}) Tj" for line in lines]
    content = "\n".join([*text, "ET"]).encode("cp1252")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%s" % (count, entries)
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, len(out))
    )


def _escaped(text):
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def text(*lines):
    return "\n".join([*lines, ""]).encode()


# The newest is on top of the page, so the last one here comes first there.
MATTERS = [
    DemoMatter(
        "The lighthouse keeper's will",
        "ben",
        {
            "cover": (
                "north cliff.webp",
                partial(
                    landscape,
                    (1200, 800),
                    ("#20304f", "#d98f6a"),
                    (0.72, 0.42, "#ffe3b0"),
                    ["#7d6a7d", "#55546f", "#363f59", "#1d2740"],
                ),
            ),
            "minutes": (
                "Minutes, 2 March.txt",
                partial(text, "Present: Anna, Ben.", "", "The will names the lamp, but not the oil."),
            ),
            "scan": (
                "the will (signed).pdf",
                partial(pdf, "Last will", "The lamp goes to my sister, the view to everyone."),
            ),
            "dossier": (
                "notes for Ben only.txt",
                partial(text, "The sister is afraid of heights. Ask gently."),
            ),
        },
    ),
    DemoMatter(
        "Two gardens, one hedge",
        "anna",
        {
            "cover": (
                "the hedge.webp",
                partial(
                    landscape,
                    (1000, 1000),
                    ("#8fc1c9", "#f3efd2"),
                    (0.28, 0.26, "#fff8dc"),
                    ["#a9bf9a", "#7fa37c", "#557f62", "#2f5b4a"],
                ),
            ),
            "minutes": (
                "Gespräch über den Garten.txt",
                partial(text, "Beide Seiten möchten, dass die Amsel bleibt.", "Nächster Termin: Mai."),
            ),
            "scan": (
                "land register, sheet 14.pdf",
                partial(
                    pdf, "Land register", "Sheet 14", "The boundary runs through the hedge, not along it."
                ),
            ),
            "dossier": (
                "what the neighbours really want.txt",
                partial(text, "Each would gladly give way, if only the other asked first."),
            ),
        },
    ),
    DemoMatter(
        "Harbour lease, pier 7",
        "anna",
        {
            "cover": (
                "pier 7 at dawn.webp",
                partial(
                    landscape,
                    (1600, 900),
                    ("#35507a", "#f2c6a0"),
                    (0.5, 0.44, "#fff1cf"),
                    ["#8d93ab", "#63789a", "#3f5d80", "#223f5f"],
                ),
            ),
            "minutes": (
                "第三回 会議録.txt",
                partial(text, "出席:アンナ、ベン", "", "桟橋の賃料は据え置く。"),
            ),
            "scan": (
                "Mietvertrag Hafenstraße 7.pdf",
                partial(pdf, "Mietvertrag", "Hafenstraße 7, Steg 7", "Gültig bis auf Widerruf."),
            ),
            "dossier": (
                "négociation, nos limites.pdf",
                partial(pdf, "Our limits", "We can go down to ten years.", "They must not know."),
            ),
        },
    ),
]
