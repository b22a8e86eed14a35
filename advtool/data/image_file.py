"""One image file as Pillow reads it: upright, 8 bits a channel, grey or RGB."""

import logging
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from advtool.errors import InputError, reason

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm")

# Pillow looks at the content, not at the suffix: web collections hold PNG and GIF files that are called .jpg.
# Its other readers stay off: one of them runs Ghostscript.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF")
MOST_PIXELS = 100_000_000
"""A larger image is refused by what its header says, before memory is taken for it."""
_GREY = ("1", "L", "LA")
_COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr")
# Errors of Pillow's readers on damaged files. MemoryError is not here: memory may really be short.
_DAMAGE = (
    *(OSError, EOFError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError),
    *(RuntimeError, struct.error, zlib.error),
)


def is_colour(file: str) -> bool:
    """Whether the file's header says that it is in colour; False if the header cannot be read."""
    try:
        with _opened(file) as image:
            return image.mode in _COLOUR
    except InputError:
        return False


def read(file: str, colour: bool) -> "Image.Image":
    """The image in mode RGB if ``colour``, else L, turned upright as its EXIF orientation says.

    Transparency is dropped. An animated file, or one with several pages, gives its first image.

    Raises:
        InputError: the file is no image, is damaged, has other than 8 bits a channel, or is in colour although grey is
            asked for.
    """
    from PIL import ImageOps  # noqa: PLC0415 - only folders need it

    with _opened(file) as image:
        mode = image.mode
        if mode in _GREY or (colour and mode in _COLOUR):
            return ImageOps.exif_transpose(image).convert("RGB" if colour else "L")
    if mode in _COLOUR:
        raise InputError(
            f"'{file}' is in colour, but the images that decide for the whole split are grey: save all in one way"
        )
    raise InputError(f"'{file}' has pixels of the kind '{mode}': save it as 8-bit grey or RGB")


@contextmanager
def _opened(file: str) -> "Iterator[Image.Image]":
    from PIL import Image  # noqa: PLC0415 - only folders need it

    log = logging.getLogger("PIL")
    level = log.level
    log.setLevel(logging.CRITICAL)  # the error says it in a line
    try:
        with warnings.catch_warnings():
            # Odd metadata and many pixels do no harm.
            warnings.simplefilter("ignore")
            if not stat.S_ISREG(Path(file).stat().st_mode):  # a pipe may have no end
                raise OSError("it is no regular file")
            with Image.open(file, formats=_FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except Image.DecompressionBombError:  # opening it refuses so many already
        raise InputError(
            f"cannot read the image '{file}' (more than {MOST_PIXELS:,} pixels): make it smaller"
        ) from None
    except _DAMAGE as error:
        raise InputError(f"cannot read the image '{file}' ({_why(error)}): replace or remove it") from None
    finally:
        log.setLevel(level)


def _why(error: Exception) -> str:
    from PIL import UnidentifiedImageError  # noqa: PLC0415 - only folders need it

    if isinstance(error, UnidentifiedImageError):  # its words repeat the path
        return "it is no image of a known format"
    return reason(error)
