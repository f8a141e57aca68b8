"""What OpenAPI says of bodies that are read by hand, with examples; no behaviour.

`POST /v1/ask` takes two content types, which FastAPI cannot declare from a signature.
"""

from typing import Any

from service.problems import KINDS, MEDIA_TYPE
from service.schema import Answer, AskBody, AskParams, ProblemBody

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
MODELS = (AskBody, AskParams, Answer, ProblemBody)


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


ASK_DOCUMENT: dict[str, Any] = {
    "summary": "Ask about pictures",
    "tags": ["asks"],
    "openapi_extra": {
        "requestBody": {
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
                                "description": "JSON: the object above without question, images.",
                            },
                        },
                        "additionalProperties": False,
                    },
                },
            },
        },
        "parameters": [
            {
                "name": "Last-Event-ID",
                "in": "header",
                "required": False,
                "schema": {"type": "string"},
                "description": "Goes on after this event of a broken stream.",
            }
        ],
    },
    "responses": {
        200: {
            "description": "The answer, or the event stream that ends with it.",
            "content": {
                "application/json": {"schema": ref(Answer)},
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'event: token\ndata: {"text":"2"}\nid: ask_…/1-0\n\n',
                },
            },
        },
        **problem_responses(409, 413, 415, 422, 429, 500, 503, 504),
    },
}
