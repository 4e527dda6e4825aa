"""Pixels of any depth -> 8 bits a plane: right within rounding, or refused by name.

What full brightness is, only the file can say, or the person who has it. A value is never clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from zoo_core.errors import DataError

SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
DEEP = (*SIXTEEN, "I", "F")  # modes of one plane and more than 8 bits
FULL = 2**16 - 1
FAINT = 4096  # 12-bit samples in 16-bit words stay below it

# TIFF: https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT, SMAX = 258, 262, 339, 341
WHITE_IS_ZERO, UNSIGNED = 0, 1


@dataclass(frozen=True)
class Depth:
    """What a file says of its pixels.

    `maximum`: the value of white, where the file or its format says it. `final`: whether nobody
    can know better, since it is written down or Pillow has scaled by it. `deep`: whether 16 bits
    are stored for each sample. `inverted`: 0 is white. `transparent`: the grey that is not there.
    """

    maximum: float | None = None
    final: bool = False
    deep: bool = False
    inverted: bool = False
    unsigned: bool = False
    transparent: int | None = None


def depth_of(picture: Image.Image, content: bytes = b"") -> Depth:
    """What a picture that is open, and not decoded yet, says of its pixels.

    `content`: its file. Puts a transparent grey of 2 or 4 bits into 8, which Pillow leaves.
    """
    known = {"PNG": _png, "TIFF": _tiff, "PPM": _ppm, "JPEG2000": _jpeg2000}
    if picture.format in known:
        return known[picture.format](picture, content)
    if picture.format is None:  # made in memory
        return Depth(FULL if picture.mode in SIXTEEN else 1.0 if picture.mode == "F" else None)
    return Depth()


def in_eight_bits(picture: Image.Image, name: str, depth: Depth, bits: int | None) -> Image.Image:
    """A decoded picture with 8 bits a plane; those that have no more are returned as they are.

    `bits`: how many of them are used, where the file does not say it. Raises DataError that names
    the picture for values that are negative, NaN or above white, and where white is unknown.
    """
    if picture.mode not in DEEP:
        _refuse_lost_bits(picture, name, depth, bits)
        return picture
    values = _values(picture, depth)
    maximum = depth.maximum if depth.final or bits is None else float(2**bits - 1)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (low >= 0 and np.isfinite(high)):  # NaN is no number that is 0 or more
        raise DataError(
            f"{name} holds {_shown(low, high)}; a pixel is a number, 0 or more.",
            hint="Save it again, with 0 for black.",
        )
    if maximum is None and high > 0:  # nothing but 0 is black, whatever white is
        raise _unknown_white(name, picture, high)
    if maximum is not None and high > maximum:
        raise _above_white(name, picture, high, maximum, bits)
    shades = np.rint(values * (255 / (maximum or 1.0))).astype(np.uint8)
    grey = Image.fromarray(255 - shades if depth.inverted else shades)
    if depth.transparent is not None:
        seen = np.where(values == depth.transparent, 0, 255).astype(np.uint8)
        grey.putalpha(Image.fromarray(seen))
    return grey


def is_faint(picture: Image.Image, depth: Depth) -> bool:
    """Whether a decoded picture has 16 bits a sample, of which the upper four are not used."""
    if not depth.deep or depth.final:
        return False
    if picture.mode in DEEP:
        return 0 < float(np.asarray(picture).max(initial=0)) < FAINT
    if picture.mode not in ("RGB", "RGBA", "LA", "RGBX"):
        return False
    colours = np.asarray(picture)[..., : 1 if picture.mode == "LA" else 3]
    return 0 < int(colours.max(initial=0)) < FAINT >> 8  # Pillow keeps the upper 8 bits


def _values(picture: Image.Image, depth: Depth) -> np.ndarray:
    values = np.asarray(picture)
    if picture.mode == "I" and depth.unsigned:
        values = values.view(np.uint32)  # Pillow has the bits, and takes the first for a sign
    return values.astype(np.float64)


# --- what formats say ----------------------------------------------------------------------------


def _png(picture: Image.Image, content: bytes) -> Depth:
    bits = content[24] if len(content) > 24 else 8  # in IHDR, the first chunk
    clear: Any = picture.info.get("transparency")
    if picture.mode == "L" and bits in (2, 4) and isinstance(clear, int):
        picture.info["transparency"] = clear * 255 // (2**bits - 1)
    if picture.mode == "RGB" and bits == 16 and isinstance(clear, tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in clear)
    single = clear if picture.mode in DEEP and isinstance(clear, int) else None
    return Depth(FULL, deep=bits == 16, transparent=single)


def _tiff(picture: Any, content: bytes) -> Depth:
    tags = picture.tag_v2
    bits = max(_numbers(tags.get(BITS_PER_SAMPLE)) or (1,))
    sample = max(_numbers(tags.get(SAMPLE_FORMAT)) or (UNSIGNED,))
    stated = max(_numbers(tags.get(SMAX)), default=0.0)
    known: dict[str, Any] = {
        "inverted": tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and picture.mode in DEEP,
        "unsigned": sample == UNSIGNED and bits == 32,
        "deep": bits == 16,
    }
    if stated > 0 and (picture.mode == "F" or stated < 2**bits - 1):
        return Depth(stated, final=True, **known)
    if picture.mode == "I":  # of 32 bits, and of 16 with a sign, nobody uses all
        return Depth(**known)
    whole = 1.0 if picture.mode == "F" else float(2**bits - 1)
    return Depth(whole, final=8 < bits < 16, **known)


def _numbers(tag: Any) -> tuple[float, ...]:
    if tag is None:
        return ()
    return tuple(map(float, tag)) if isinstance(tag, tuple) else (float(tag),)


def _ppm(picture: Any, content: bytes) -> Depth:
    """Pillow scales to all 16 bits where the file says that white is something else."""
    if picture.mode == "F":
        return Depth(1.0)
    scaled = bool(picture.tile) and picture.tile[0][0] != "raw"
    return Depth(FULL, final=scaled, deep=picture.mode == "I" and not scaled)


def _jpeg2000(picture: Image.Image, content: bytes) -> Depth:
    """Pillow scales to all 16 bits where the codestream says that it has fewer."""
    start = content.find(b"\xff\x4f\xff\x51")  # SOC and SIZ, 40 bytes before a component's depth
    bits = (content[start + 42] & 0x7F) + 1 if 0 <= start < len(content) - 42 else 16
    return Depth(FULL, final=bits != 16, deep=bits == 16)


# --- refusals ------------------------------------------------------------------------------------


def _refuse_lost_bits(picture: Image.Image, name: str, depth: Depth, bits: int | None) -> None:
    """Pillow keeps the upper 8 of 16 bits of a colour: white has to be where they end."""
    stated = depth.final and depth.maximum != FULL
    if (
        depth.deep
        and picture.mode not in ("1", "L", "P")
        and (stated or (not depth.final and (bits or 16) < 16))
    ):
        said = f"white at {depth.maximum:g}" if stated else f"{bits} bits"
        raise DataError(
            f"{name} is a colour picture with {said} in 16, of which Pillow reads the upper 8.",
            hint="Save it with 8 bits, or with its values scaled to all 16.",
        )


def _unknown_white(name: str, picture: Image.Image, high: float) -> DataError:
    return DataError(
        f"{name} holds {_kind(picture)} up to {high:g}, and does not say which of them is white.",
        hint=f"Say how many bits they use, as in folder:DIR?bits={_bits(high)}, or save it with 8 "
        "or 16 bits.",
    )


def _above_white(
    name: str, picture: Image.Image, high: float, maximum: float, bits: int | None
) -> DataError:
    fault = f"{name} holds {_kind(picture)} up to {high:g}, and white is {maximum:g}"
    if picture.mode == "F" and maximum == 1.0:
        hint = f"Say how many bits they use, as in folder:DIR?bits={_bits(high)}, or divide them."
    elif bits is not None:
        hint = f"It uses {_bits(high)} bits: bits={_bits(high)}."
    else:
        hint = "What the file says of its range is wrong; save it again."
    return DataError(f"{fault}.", hint=hint)


def _kind(picture: Image.Image) -> str:
    if picture.mode == "F":
        return "floats"
    return "16-bit integers" if picture.mode in SIXTEEN else "32-bit integers"


def _bits(high: float) -> int:
    """The usual number of bits that holds a value."""
    need = max(int(high), 1).bit_length()
    return next((bits for bits in (8, 10, 12, 14, 16) if need <= bits), need)


def _shown(low: float, high: float) -> str:
    if np.isnan(low) or np.isnan(high):
        return "NaN"
    return f"values from {low:g} to {high:g}"
