"""Reads a multipart body part by part, and hashes files while their bytes come in.

At most one file is in memory at a time; what is over a limit is counted and not kept. What the
parts mean, and where they go, is not known here.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from service.problems import Problem

UNREADABLE = (
    "The form cannot be read: send a whole multipart body with its boundary, named parts, and "
    "no more files or longer texts than allowed."
)
MOST_FIELDS = 16


@dataclass(frozen=True, slots=True)
class FormLimits:
    """Files beyond `kept_files` or `file_bytes` are counted, and not kept."""

    files: int
    kept_files: int
    file_bytes: int
    text_bytes: int


@dataclass(slots=True)
class Part:
    """One part; `size` counts all its bytes, `chunks` may be short of them."""

    name: str
    is_file: bool
    size: int = 0
    chunks: list[bytes] = field(default_factory=list)
    hashing: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    @property
    def data(self) -> bytes:
        """The bytes that were kept."""
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        """A text part's text; bytes that are no UTF-8 are read as Latin-1, as Starlette does."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return self.data.decode("latin-1")


class FormReader:
    """Takes chunks of a body in, and gives parts out as they end; raises Problem.

    `check_head(name, is_file)` is called before a part's bytes, to refuse it at once.
    """

    def __init__(
        self, content_type: str, limits: FormLimits, check_head: Callable[[str, bool], None]
    ) -> None:
        self._limits, self._check_head = limits, check_head
        self._files = self._fields = 0
        self._header, self._value, self._disposition = b"", b"", b""
        self._part = Part("", is_file=False)
        self._ended: list[Part] = []
        self._is_whole = False
        self.keeping = True
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Problem("bad_request", UNREADABLE)
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._head,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._whole,
                },
            )
        except FormParserError:
            raise Problem("bad_request", UNREADABLE) from None

    def feed(self, chunk: bytes) -> list[Part]:
        """The parts that end in this chunk."""
        self._ended = []
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Problem("bad_request", UNREADABLE) from None
        return self._ended

    def finish(self) -> None:
        """Refuse a body that broke off."""
        if not self._is_whole:
            raise Problem("bad_request", UNREADABLE)

    def _begin(self) -> None:
        self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _head(self) -> None:
        options = parse_options_header(self._disposition)[1]
        if b"name" not in options:
            raise Problem("bad_request", UNREADABLE)
        is_file = b"filename" in options
        self._files += is_file
        self._fields += not is_file
        if self._files > self._limits.files or self._fields > MOST_FIELDS:
            raise Problem("bad_request", UNREADABLE)
        self._part = Part(options[b"name"].decode("utf-8", "replace"), is_file)
        self._check_head(self._part.name, is_file)

    def _data(self, data: bytes, start: int, end: int) -> None:
        part, limits = self._part, self._limits
        part.size += end - start
        if not part.is_file:
            if part.size > limits.text_bytes:
                raise Problem("bad_request", UNREADABLE)
        elif not self.keeping or self._files > limits.kept_files:
            return
        elif part.size > limits.file_bytes:
            part.chunks.clear()
            return
        chunk = data[start:end]
        if part.is_file:
            part.hashing.update(chunk)
        part.chunks.append(chunk)

    def _end(self) -> None:
        self._ended.append(self._part)

    def _whole(self) -> None:
        self._is_whole = True


async def parts(request: Request, reader: FormReader) -> AsyncGenerator[Part]:
    """The parts of a body as they end; nothing more is read while one is being dealt with."""
    async for chunk in request.stream():
        for part in reader.feed(chunk):
            yield part
    reader.finish()
