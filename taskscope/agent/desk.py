"""Dispatches the requests of clients: checks order and parameters, answers or refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskscope import wire
from taskscope.agent.answers.tasks import NotFoundError
from taskscope.agent.clients import MAX_JOBS
from taskscope.agent.reply import encoded
from taskscope.model import requests
from taskscope.system import system

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskscope.agent.clients import Client
    from taskscope.agent.inspect.walk import Job
    from taskscope.agent.life import Resident
    from taskscope.agent.server import Server
    from taskscope.model.requests import Request

FIRST_SAMPLE = 1.0
"""Most seconds a first sample waits for older tasks to be registered."""


class Desk:
    """Handles the requests of all clients."""

    def __init__(self, agent: Resident, server: Server) -> None:
        self._agent = agent
        self._server = server

    def take(self, client: Client, request: wire.Request) -> None:
        """Answers, refuses, or queues a request."""
        try:
            self._take(client, request)
        except wire.RemoteError as error:
            self._server.send(client, wire.failure(request.id, error.code, error.message))

    def _take(self, client: Client, request: wire.Request) -> None:
        name, params = request.method, request.params
        if not client.greeted and name != "hello":
            raise wire.RemoteError(wire.INVALID_REQUEST, "say hello first")
        kind = requests.METHODS.get(name)
        if kind is None:
            raise wire.RemoteError(wire.NO_METHOD, f"this agent has no {name!r}")
        if kind is requests.Hello:
            self._check_protocol(params.get("protocol"))
        try:
            asked = requests.read(kind, params)
        except requests.BadParamsError as error:
            raise wire.RemoteError(wire.BAD_PARAMS, str(error)) from None
        if isinstance(asked, requests.Hello):
            client.greeted = True
            self._server.send(client, wire.response(request.id, wire.pack(self._agent.hello())))
        elif isinstance(asked, requests.Abandon):
            for work in client.work:
                work.abandoned = work.abandoned or work.id == asked.id
        elif len(client.work) >= MAX_JOBS:
            raise wire.RemoteError(wire.INVALID_REQUEST, "too many pending requests")
        elif isinstance(asked, requests.Subscribe):
            self._server.send(client, wire.response(request.id, {}))
            client.watching, client.subscribed = True, False
            self.subscribe(client)
        else:
            self._server.queue(client, self._answer(client, request.id, asked), request.id)

    def _check_protocol(self, theirs: object) -> None:
        if theirs != wire.PROTOCOL:
            ours = self._agent.hello().taskscope
            raise wire.RemoteError(
                wire.MISMATCH,
                f"the agent in process {system.getpid()} is taskscope {ours} with protocol {wire.PROTOCOL}, "
                f"this client has protocol {theirs!r:.40}: use the same version of taskscope on both sides",
            )

    def subscribe(self, client: Client) -> None:
        """Starts a full sample for a client that needs one, unless it lags."""
        if not client.subscribing and not client.lags:
            client.subscribing = True
            self._server.queue(client, self._full_sample(client), parks=False)

    def _full_sample(self, client: Client) -> Job[None]:
        """Sends a full sample, then those made meanwhile, whose changes it may lack."""
        yield from self._agent.settled(FIRST_SAMPLE)
        missed: list[bytes] = []
        client.missed = missed
        sample = yield from self._agent.sampler.full(self._agent.interval)
        data = yield from encoded(as_sample, sample)
        client.missed = None
        client.subscribing, client.subscribed = False, True
        for each in (data, *missed):
            self._server.send(client, each)

    def _answer(self, client: Client, id: int | None, request: Request[Any]) -> Job[None]:
        def send(data: bytes) -> None:
            self._server.send(client, data)

        try:
            result = yield from self._agent.answer(request, send)
            send((yield from encoded(_as_result(id), result)))
        except NotFoundError as error:
            send(wire.failure(id, wire.NOT_FOUND, str(error)))
        except wire.RemoteError as error:
            send(wire.failure(id, error.code, error.message))
        except Exception as error:  # noqa: BLE001  (an outer edge: one bad answer must not end the agent)
            self._agent.registry.drop("answers that failed")
            text = f"{type(error).__name__} in {request.method}: {error}"
            send(wire.failure(id, wire.INTERNAL, text))
        if isinstance(request, requests.Detach):
            self._server.leave()


def as_sample(params: object) -> dict[str, Any]:
    """The notification that carries a sample."""
    return {"jsonrpc": "2.0", "method": "sample", "params": params}


def _as_result(id: int | None) -> Callable[[object], dict[str, Any]]:
    return lambda value: {"jsonrpc": "2.0", "id": id, "result": value}
