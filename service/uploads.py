"""Pictures stored once and named afterwards: POST, GET, HEAD and DELETE under /v1/images.

An id is the SHA-256 of the bytes, and names a picture only for the tenant that sent it. What a
picture must be like is `service.images`' business, how long it stays the store's.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel

from service import bodies
from service.caller import TheCaller, TheDesk, may
from service.costs import Costs
from service.openapi import UPLOAD_DOCUMENT, problem_responses
from service.prepare import checked
from service.problems import Problem
from service.schema import IMAGE_ID
from service.shelf import Note

router = APIRouter(tags=["images"])
ImageId = Annotated[str, Path(pattern=IMAGE_ID, description="`sha256:` and 64 hex digits.")]
WRITES = Depends(may("images"))
READS = Depends(may("read"))


class StoredImage(BaseModel):
    """A picture in the store; name it in an ask by its id."""

    id: str
    width: int
    height: int
    bytes: int
    tokens: int | None = None


@router.post(
    "/v1/images",
    operation_id="store_image",
    status_code=201,
    dependencies=[WRITES],
    **UPLOAD_DOCUMENT,
)
async def store_image(
    request: Request, response: Response, desk: TheDesk, key: TheCaller
) -> StoredImage:
    """Store one picture and say what it is called and what it costs."""
    with desk.holding(request.headers.get("content-length")):
        raw = await bodies.read_picture(request, desk.settings)
        (picture,) = await checked(desk, [raw])
        await desk.shelf.put(key.owner, [picture])
    costs = Costs.of((await desk.fleet()).facts)
    tokens = costs.tokens(picture.width, picture.height) if costs else None
    response.headers["Location"] = f"/v1/images/sha256:{picture.digest}"
    return StoredImage(
        id=f"sha256:{picture.digest}",
        width=picture.width,
        height=picture.height,
        bytes=len(picture.data),
        tokens=tokens,
    )


def digest_of(image_id: str) -> str:
    """The hash in an id."""
    return image_id.removeprefix("sha256:")


async def note_or_problem(desk: TheDesk, key: TheCaller, image_id: ImageId) -> Note:
    """What is known of this tenant's picture; Problem `not_found`."""
    found = await desk.shelf.find(key.owner, [digest_of(image_id)])
    if not found:
        raise Problem("not_found", "No such picture, or its time is up; send it again.")
    return found[digest_of(image_id)]


TheNote = Annotated[Note, Depends(note_or_problem)]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {}}, "description": "The bytes as they were sent."}
}


@router.get(
    "/v1/images/{image_id}",
    operation_id="get_image",
    dependencies=[READS],
    response_class=Response,
    responses={**PICTURE, **problem_responses(401, 403, 404, 422, 503)},
)
async def get_image(desk: TheDesk, key: TheCaller, image_id: ImageId, note: TheNote) -> Response:
    """Give a picture back."""
    data = await desk.shelf.bytes_of(key.owner, digest_of(image_id))
    if data is None:
        raise Problem("not_found", "Its time is up; send it again.")
    return Response(data, media_type=note.media_type, headers=_headers(image_id))


@router.head(
    "/v1/images/{image_id}",
    operation_id="head_image",
    dependencies=[READS],
    response_class=Response,
    responses={**PICTURE, **problem_responses(401, 403, 404, 422, 503)},
)
async def head_image(image_id: ImageId, note: TheNote) -> Response:
    """Say whether a picture is stored, and how large it is."""
    headers = {**_headers(image_id), "Content-Length": str(note.bytes)}
    return Response(media_type=note.media_type, headers=headers)


@router.delete(
    "/v1/images/{image_id}",
    operation_id="forget_image",
    status_code=204,
    dependencies=[WRITES],
    responses=problem_responses(401, 403, 404, 422, 503),
)
async def forget_image(desk: TheDesk, key: TheCaller, image_id: ImageId) -> None:
    """Make an id unusable at once; the bytes leave the store when their time is up."""
    if not await desk.shelf.forget(key.owner, digest_of(image_id)):
        raise Problem("not_found", "No such picture; there is nothing to remove.")


def _headers(image_id: str) -> dict[str, str]:
    return {
        "ETag": f'"{digest_of(image_id)}"',
        "Cache-Control": "private, max-age=3600, immutable",
        # A picture is never run as anything else, whatever its bytes look like to a browser.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
