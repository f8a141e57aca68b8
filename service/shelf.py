"""Whose pictures are stored: a note per tenant and picture beside the bytes in the mailbox.

Bytes are shared by their hash; the right to name them is not: whoever never sent a picture
cannot use or read it by its hash. Nothing here knows HTTP.
"""

import asyncio
from collections.abc import Collection, Sequence

from pydantic import BaseModel, ConfigDict

from service.images import Picture
from wire.mailbox import AsyncMailbox
from wire.store import AsyncStore, in_wire_errors


class Note(BaseModel):
    """What is known of a stored picture; pixels as shown, after EXIF orientation."""

    model_config = ConfigDict(frozen=True)

    width: int
    height: int
    bytes: int
    media_type: str


class Shelf:
    """Puts pictures into the mailbox for a tenant, and finds what that tenant put there."""

    def __init__(self, store: AsyncStore, mailbox: AsyncMailbox) -> None:
        self._store = store
        self._mailbox = mailbox
        self._ttl_seconds = store.settings.picture_ttl_seconds

    def _name(self, tenant: str, digest: str) -> str:
        return f"{self._store.settings.namespace}:owned:{tenant}:{digest}"

    async def put(self, tenant: str, pictures: Sequence[Picture]) -> None:
        """Store pictures; those that are there already are only kept for longer."""
        noting = self.note(tenant, pictures)
        missing = await self._mailbox.missing({picture.digest for picture in pictures})
        await self.fill(pictures, missing)
        with in_wire_errors():
            for reply in await noting:
                if isinstance(reply, BaseException):
                    raise reply

    async def fill(self, pictures: Sequence[Picture], missing: Collection[str]) -> None:
        """Store the bytes of those that are missing."""
        fresh = {picture.digest: picture.data for picture in pictures}
        await self._mailbox.put_pictures({digest: fresh[digest] for digest in missing})

    def note(
        self, tenant: str, pictures: Sequence[Picture]
    ) -> asyncio.Future[list[bool | BaseException]]:
        """Let this tenant name pictures that it sent; worth nothing while their bytes are away.

        Goes out with what is asked of Redis next. What failed is in the reply: whoever does not
        wait for it has an asker that must send a picture again to name it.
        """
        notes = {picture.digest: note_of(picture).model_dump_json() for picture in pictures}
        return asyncio.gather(
            *(
                self._store.together.begin(
                    "SET", self._name(tenant, digest), text, "EX", self._ttl_seconds
                )
                for digest, text in notes.items()
            ),
            return_exceptions=True,
        )

    async def find(self, tenant: str, digests: Collection[str]) -> dict[str, Note]:
        """The notes of those pictures that this tenant may name, kept for longer from now."""
        wanted = sorted(set(digests))
        if not wanted:
            return {}
        gone = set(await self._mailbox.missing(wanted))
        with in_wire_errors():
            pipe = self._store.text.pipeline(transaction=False)
            for digest in wanted:
                pipe.getex(self._name(tenant, digest), ex=self._ttl_seconds)
            texts = await pipe.execute()
        return {
            digest: Note.model_validate_json(text)
            for digest, text in zip(wanted, texts, strict=True)
            if text and digest not in gone
        }

    async def bytes_of(self, tenant: str, digest: str) -> bytes | None:
        """The picture as it was sent, None where this tenant may not name it."""
        if digest not in await self.find(tenant, [digest]):
            return None
        return await self._mailbox.picture(digest)

    async def forget(self, tenant: str, digest: str) -> bool:
        """Take the tenant's right away; the bytes go when their time is up. False: had none."""
        with in_wire_errors():
            return bool(await self._store.text.delete(self._name(tenant, digest)))


def note_of(picture: Picture) -> Note:
    """What is remembered of a picture beside its bytes."""
    return Note(
        width=picture.width,
        height=picture.height,
        bytes=len(picture.data),
        media_type=picture.media_type,
    )
