"""Whose pictures are stored: a note per tenant and picture beside the bytes in the mailbox.

Bytes are shared by their hash; the right to name them is not: whoever never sent a picture
cannot use or read it by its hash. Nothing here knows HTTP.
"""

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
        fresh = {picture.digest: picture for picture in pictures}
        missing = await self._mailbox.missing(fresh)
        await self._mailbox.put_pictures({digest: fresh[digest].data for digest in missing})
        if not fresh:
            return
        with in_wire_errors():
            pipe = self._store.text.pipeline(transaction=False)
            for picture in fresh.values():
                text = note_of(picture).model_dump_json()
                pipe.set(self._name(tenant, picture.digest), text, ex=self._ttl_seconds)
            await pipe.execute()

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
