"""What the servers serve, each in its own way: an answer after 20 ms."""

import asyncio
import contextlib
import time

with contextlib.suppress(ImportError):
    from aiohttp import web

    async def _hello(request):
        await asyncio.sleep(0.02)
        return web.Response(text="hello")

    def aiohttp_app(argv):
        app = web.Application()
        app.router.add_get("/", _hello)
        return app


with contextlib.suppress(ImportError):
    import sanic

    sanic_app = sanic.Sanic("at_work")

    @sanic_app.get("/")
    async def _sanic_hello(request):
        await asyncio.sleep(0.02)
        return sanic.text("hello")


with contextlib.suppress(ImportError):
    import os

    import celery

    celery_app = celery.Celery("at_work", broker=os.environ.get("AT_WORK_BROKER"), backend="disabled://")

    @celery_app.task(name="render")
    def render(number):
        time.sleep(0.05)
        return number


with contextlib.suppress(ImportError):
    import tornado.web

    class _Hello(tornado.web.RequestHandler):
        async def get(self):
            await asyncio.sleep(0.02)
            self.write("hello")

    tornado_app = tornado.web.Application([("/", _Hello)])


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


def wsgi(environ, start_response):
    time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
