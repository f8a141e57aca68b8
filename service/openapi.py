"""What OpenAPI says of bodies that are read by hand, with examples; no behaviour.

`POST /v1/ask` takes two content types, which FastAPI cannot declare from a signature.
"""

from typing import Any, Literal

from pydantic import BaseModel

from service import samples
from service.chat_schema import ChatBody
from service.problems import KINDS, MEDIA_TYPE
from service.schema import Answer, AskBody, AskParams, AskState, ProblemBody, Progress

REF = "#/components/schemas/{model}"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGklEQVR4nGP4z8BAEhrVMKphVMOohpGrAQAw9f4B"
    "nq0aEgAAAABJRU5ErkJggg=="
)
ASK_EXAMPLE = {
    "question": "Which image shows a red circle?",
    "images": [{"data": PIXEL}, {"data": PIXEL}],
    "options": ["1", "2"],
    "pruning": {"policy": "myopia", "budget": 0.2},
}
MODELS = (AskBody, AskParams, Answer, AskState, ChatBody, ProblemBody, Progress)


def ref(model: type) -> dict[str, str]:
    """A reference to a schema that `complete` puts into the document."""
    return {"$ref": REF.format(model=model.__name__)}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the problems that a route may answer with."""
    known: dict[int, list[str]] = {}
    for code, kind in KINDS.items():
        known.setdefault(kind.status, []).append(code)
    return {
        status: {
            "description": "Problem: " + ", ".join(f"`{code}`" for code in known[status]),
            "content": {MEDIA_TYPE: {"schema": ref(ProblemBody)}},
        }
        for status in statuses
    }


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schemas that bodies read by hand refer to."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for model in MODELS:
        schema = model.model_json_schema(ref_template=REF)
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
    return document


class AskEnded(BaseModel):
    """What a webhook tells: `data` is the answer, or the problem."""

    type: Literal["ask.done", "ask.failed"]
    timestamp: str
    data: Answer | ProblemBody


def ask_ended(body: AskEnded) -> None:
    """Tell an asker's own server how an ask ended.

    Signed as Standard Webhooks says (`webhook-id`, `webhook-timestamp`, `webhook-signature`),
    sent at least once, for a day; any 2xx is an acceptance, 410 a refusal for ever.
    """


ASK_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": ref(AskBody), "example": ASK_EXAMPLE},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["images", "question"],
                "properties": {
                    "images": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "string", "format": "binary"},
                        "description": "One file part per picture, in order.",
                    },
                    "question": {"type": "string", "minLength": 1},
                    "params": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": ref(AskParams),
                        "description": "JSON: the object above without question and images.",
                    },
                },
                "additionalProperties": False,
            },
        },
    },
}
EVENT_STREAM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "event": {
                "type": "string",
                "description": "`token`, then one `done` or `failed`; before a token `progress`, "
                "where the ask waits for longer than a moment: once, and at each change.",
            },
            "id": {"type": "string", "description": "Send it as `Last-Event-ID` to go on."},
            "data": {
                "type": "string",
                "description": 'JSON: `{"text": …}`, the answer, a problem, or how far it is.',
                "contentMediaType": "application/json",
                "contentSchema": {
                    "anyOf": [ref(Progress), ref(Answer), ref(ProblemBody), {"type": "object"}]
                },
            },
        },
    },
    "example": samples.STREAM,
}


def header(name: str, description: str, pattern: str | None = None) -> dict[str, Any]:
    """An optional header of a request."""
    schema = {"type": "string"} | ({"pattern": pattern} if pattern else {})
    return {
        "name": name,
        "in": "header",
        "required": False,
        "schema": schema,
        "description": description,
    }


ASK_DOCUMENT: dict[str, Any] = {
    "summary": "Ask about pictures",
    "tags": ["asks"],
    "openapi_extra": {
        "requestBody": ASK_BODY,
        "parameters": [
            header("Last-Event-ID", "Goes on after this event of a broken stream."),
            header("Prefer", "`respond-async`: 202 at once; `wait=N`: 202 after N seconds."),
            header("Idempotency-Key", "Repeats with this key within a day are the same ask."),
            header("Cache-Control", "`no-cache`: as `cache: refresh`; `no-store`: as `off`."),
        ],
    },
    "responses": {
        200: {
            "description": "The answer, or the event stream that ends with it.",
            "content": {
                "application/json": {"schema": ref(Answer)},
                "text/event-stream": EVENT_STREAM,
            },
            "headers": {
                "Server-Timing": {
                    "description": "The answer's `timings` again, and `gateway`: milliseconds "
                    "from the request to the reply, which a hit has too. Not of a stream.",
                    "schema": {"type": "string"},
                }
            },
        },
        202: {
            "description": "Accepted; look it up under `Location`.",
            "content": {"application/json": {"schema": ref(AskState), "example": samples.QUEUED}},
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **problem_responses(401, 403, 409, 413, 415, 422, 429, 500, 503, 504),
    },
}

UPLOAD_DOCUMENT: dict[str, Any] = {
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["image"],
                        "properties": {"image": {"type": "string", "format": "binary"}},
                        "additionalProperties": False,
                    }
                },
                "image/png": {"schema": {"type": "string", "format": "binary"}},
                "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
    "responses": problem_responses(401, 403, 413, 415, 422, 429, 500, 503),
}
EVENTS_DOCUMENT: dict[str, Any] = {
    "responses": {
        200: {"description": "The events.", "content": {"text/event-stream": EVENT_STREAM}},
        204: {"description": "`Last-Event-ID` was the last one: reconnect no more."},
        **problem_responses(401, 403, 404, 422, 503),
    }
}
ESTIMATE_DOCUMENT: dict[str, Any] = {
    "openapi_extra": {"requestBody": ASK_BODY},
    "responses": problem_responses(401, 403, 413, 415, 422, 429, 500, 503),
}
OPENAI_ERROR: dict[str, Any] = {
    "description": "OpenAI's error object.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["message", "type", "code"],
                        "properties": {
                            "message": {"type": "string"},
                            "type": {"type": "string"},
                            "param": {"type": ["string", "null"]},
                            "code": {"type": "string"},
                        },
                    }
                },
            }
        }
    },
}
CHAT_EXAMPLE = {
    "model": "pocket",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                {"type": "text", "text": "What colour is this?"},
            ],
        }
    ],
    "pruning": {"budget": 0.2},
}
CHUNK_STREAM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["data"],
        "properties": {
            "data": {"type": "string", "description": "JSON of one chunk; at last `[DONE]`."}
        },
    }
}
CHAT_DOCUMENT: dict[str, Any] = {
    "summary": "Answer a conversation, in OpenAI's shapes",
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": ref(ChatBody), "example": CHAT_EXAMPLE}},
        }
    },
    "responses": {
        200: {
            "description": "`chat.completion`, or a stream of `chat.completion.chunk`.",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "text/event-stream": CHUNK_STREAM,
            },
        },
        **dict.fromkeys((400, 401, 403, 404, 409, 413, 415, 429, 500, 503, 504), OPENAI_ERROR),
    },
}
MODELS_DOCUMENT: dict[str, Any] = {"responses": dict.fromkeys((401, 403, 404, 503), OPENAI_ERROR)}
