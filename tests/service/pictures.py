"""Pictures for the gateway's tests, good and hostile; everything is made here, nothing read."""

import io
import struct
import zlib

from PIL import Image

MODES = ("RGB", "L", "P", "RGBA", "LA", "CMYK", "1", "I;16")


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file of `kind`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int = 60, height: int = 40, mode: str = "RGB") -> Image.Image:
    """Noise that compresses badly, so that cutting a file cuts pixels."""
    return Image.effect_noise((width, height), 80).convert(mode)


def plain(color: str = "red", size: tuple[int, int] = (32, 32)) -> bytes:
    """A PNG of one colour."""
    return encode(Image.new("RGB", size, color))


def chunk(name: bytes, data: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def claimed_png(width: int, height: int, pixels: bytes = b"\0" * 50_000) -> bytes:
    """A PNG whose header claims a size that its data does not have."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(pixels, 0)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def turned(orientation: int) -> bytes:
    """A JPEG of 60 x 40 stored pixels with an EXIF orientation."""
    exif = Image.Exif()
    exif[274] = orientation
    return encode(noise(), "JPEG", exif=exif)


def animated(kind: str) -> bytes:
    """Three frames."""
    frames = [noise() for _ in range(3)]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:])


def hostile() -> dict[str, bytes]:
    """Files that no decoder should take, by what is wrong with them."""
    jpeg, png = encode(noise(), "JPEG"), encode(noise(), "PNG")
    webp, gif, bmp = (encode(noise(), kind) for kind in ("WEBP", "GIF", "BMP"))
    return {
        "empty": b"",
        "text": b"hello, I am not a picture",
        "html": b"<html><script>alert(1)</script></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "pdf": b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        "fits": b"SIMPLE  =                    T".ljust(2880),
        "tiff": encode(noise(), "TIFF"),
        "ico": encode(noise(32, 32), "ICO"),
        "zip": b"PK\x03\x04" + bytes(60),
        "cut jpeg": jpeg[: len(jpeg) // 2],
        "cut progressive jpeg": encode(noise(), "JPEG", progressive=True)[:1500],
        "cut png": png[: len(png) // 2],
        "cut webp": webp[: len(webp) // 2],
        "cut gif": gif[: len(gif) // 2],
        "cut bmp": bmp[: len(bmp) // 2],
        "png header alone": png[:33],
        "png header with a wrong checksum": png[:29] + bytes(4) + png[33:],
        "jpeg header alone": jpeg[:20],
        "0 x 0": claimed_png(0, 0),
        "1 x 1": plain(size=(1, 1)),
        "1 x 4000": plain(size=(1, 4000)),
        "4000 x 1": plain(size=(4000, 1)),
        "5 x 4000": plain(size=(5, 4000)),
        "20000 x 20000": claimed_png(20_000, 20_000),
        "2^31 wide": claimed_png(2**31 - 1, 1),
        "data for fewer pixels": claimed_png(300, 300),
    }
