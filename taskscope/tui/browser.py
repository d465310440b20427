"""The app in a browser, by textual-serve: for this machine alone, and for who has the token.

Each page runs an app of its own, which ends with the page.  The first address holds the token and leaves a
cookie, which the page's other requests bring.  They must also name this machine: a foreign page that points
its own name at 127.0.0.1 gets nothing, and neither does one that opens our WebSocket.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, Any

from aiohttp import web
from textual_serve.server import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HOSTS = frozenset({"127.0.0.1", "localhost"})

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:"
)
"""Nothing is fetched from elsewhere."""


class Browser(Server):
    """Serves the app that ``command`` starts at ``listener``."""

    def __init__(self, command: str, listener: socket.socket, title: str) -> None:
        self._listener = listener
        host, port, *_ = listener.getsockname()
        super().__init__(command, host, port, title)
        self._token = secrets.token_urlsafe(24)
        self._cookie = f"taskscope_{port}"  # cookies do not tell ports apart

    @property
    def url(self) -> str:
        """The address to open, with the token."""
        return f"{self.public_url}/?token={self._token}"

    def run(self) -> None:
        """Serves until Ctrl-C or SIGTERM."""
        web.run_app(self._make_app(), sock=self._listener, print=None, access_log=None)

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Prints no banner."""

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._admits(request):
            raise web.HTTPForbidden(
                text="Open the address that `taskscope serve` has printed, with its token.\n"
            )
        self.public_url = f"http://{request.host}"  # a port-forward may have another port
        response = await handler(request)
        if request.path == "/":
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["Referrer-Policy"] = "no-referrer"
        return response

    def _admits(self, request: web.Request) -> bool:
        given = request.query.get("token") or request.cookies.get(self._cookie, "")
        origin = request.headers.get("Origin")
        return (
            request.host.rpartition(":")[0] in HOSTS
            and origin in (None, f"http://{request.host}")
            and hmac.compare_digest(given.encode(), self._token.encode())
        )


def serve(command: str, listener: socket.socket, title: str, tell: Callable[[str], Any]) -> None:
    """Serves until told to end; ``tell`` gets the address."""
    browser = Browser(command, listener, title)
    tell(browser.url)
    browser.run()
