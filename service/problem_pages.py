"""A page per problem: where the member `type` of a problem leads."""

import html

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from service.problems import KINDS, Problem
from wire.codes import CODES

router = APIRouter(include_in_schema=False)
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{code}</title>
<h1>{title}</h1><p><code>{code}</code>, status {status}</p><p>{help}</p>
"""


@router.get("/problems/{code}", response_class=HTMLResponse)
async def problem_page(code: str) -> HTMLResponse:
    """Explain one kind of problem."""
    for known in CODES:
        if known == code:
            kind = KINDS[known]
            text = PAGE.format(
                code=known,
                title=html.escape(kind.title),
                status=kind.status,
                help=html.escape(kind.help),
            )
            return HTMLResponse(text)
    raise Problem("not_found", "There is no problem of that name.")
