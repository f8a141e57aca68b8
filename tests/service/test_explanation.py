import io

import httpx
from PIL import Image

from service.overlay import HEIGHT, draw_strip
from tests.service.pictures import encode, noise, plain, turned
from tests.service.responder import Responder, done
from tests.service.test_ask import BLUE, RED, body

KEPT_LEFT = [[1.0, 0.0], [1.0, 0.0]]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_kept_parts_keep_their_colour_and_others_lose_it() -> None:
    strip = opened(draw_strip([(plain("red", (64, 64)), KEPT_LEFT)]))
    left, right = strip.getpixel((40, 160)), strip.getpixel((280, 160))
    assert left == (255, 0, 0)
    assert right[0] == right[1] == right[2]
    assert right[0] > 150


def test_pictures_stand_upright_side_by_side() -> None:
    grid = [[1.0]]
    strip = opened(draw_strip([(turned(6), grid), (encode(noise(300, 100)), grid)]))
    assert strip.height == HEIGHT
    assert strip.width == round(HEIGHT * 40 / 60) + 8 + 640


def explaining(*grids: list[list[float]]) -> dict[str, object]:
    return {"images": [{"groups": [{"grid": grid}]} for grid in grids]}


def test_overlay_of_an_ask_is_served(http: httpx.Client, responder: Responder) -> None:
    told = explaining(KEPT_LEFT, [[0.5]])
    responder.script = lambda ask: iter([done("x", explain=told)])
    answer = http.post("/v1/ask", json=body(RED, BLUE, explain=True)).json()
    assert answer["explain"] == told
    reply = http.get(f"/v1/asks/{answer['id']}/explain.png")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    assert opened(reply.content).size == (2 * HEIGHT + 8, HEIGHT)


def test_ask_that_did_not_explain_has_no_overlay(http: httpx.Client, responder: Responder) -> None:
    answer = http.post("/v1/ask", json=body(RED)).json()
    reply = http.get(f"/v1/asks/{answer['id']}/explain.png")
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert http.get("/v1/asks/ask_doesnotexist/explain.png").status_code == 404


def test_a_hit_has_its_overlay_too(http: httpx.Client, responder: Responder) -> None:
    told = explaining(KEPT_LEFT)
    responder.script = lambda ask: iter([done("x", explain=told)])
    missed = http.post("/v1/ask", json=body(RED, explain=True)).json()
    # The picture was kept for an hour, the answer is for a day.
    for name in responder.store.text.scan_iter("myopia:picture:*"):
        responder.store.text.delete(name)
    hit = http.post("/v1/ask", json=body(RED, explain=True)).json()
    assert (hit["cache"]["result"], hit["explain"]) == ("hit", told)
    drawn = [http.get(f"/v1/asks/{ask['id']}/explain.png") for ask in (missed, hit)]
    assert [reply.status_code for reply in drawn] == [200, 200]
    assert drawn[0].content == drawn[1].content
