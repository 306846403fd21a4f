"""What a browser gets that follows a page's link: how to act, in a sentence. Nothing of the case stands in it, for it is shown to whoever asks;
that it was fetched is told to nobody, for a mail scanner fetches it too."""

from types import MappingProxyType
from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from services.runtime.http import ProblemRoute

HEADERS = MappingProxyType(
    {
        "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }
)
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Greenchannel: a case</title></head>
<body>
<h1>A green channel's case</h1>
<p>Opening this page tells nobody anything: until somebody takes the case in hand, people go on being paged. It cannot be done here yet.</p>
<p>To see it, type in a terminal: <code>greenchannel case show {case_id}</code></p>
<p>To take it in hand: <code>greenchannel case ack {case_id}</code></p>
<p><strong>If you have no terminal, or are in doubt, call the centre's standing number now.</strong></p>
</body>
</html>
"""


def beside(api: APIRouter) -> APIRouter:
    """Return the console's routes: those of its API, and the page."""
    routes = APIRouter(route_class=ProblemRoute)
    routes.include_router(api)

    @routes.get("/cases/{case_id}", include_in_schema=False)
    async def page(case_id: UUID) -> Response:
        return HTMLResponse(_PAGE.format(case_id=case_id), headers=dict(HEADERS))

    return routes
