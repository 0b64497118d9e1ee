"""Describes the RPCs that the services answer: the descriptor of each, its handler, and how the server treats it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar, cast

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from runstream_control.principal import Principal

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
UnaryHandler = Callable[[Principal, Request], Awaitable[Response]]
StreamingHandler = Callable[[Principal, Request], AsyncGenerator[Response, None]]


class Queue(Enum):
    """The queue in which a request waits for its place."""

    REQUESTS = "requests"
    EXPORTS = "exports"
    """An export holds a thread of the engine while its client reads, so exports have a queue of their own."""
    NONE = "none"
    """The request waits for no place."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC, whichever transport carries it."""

    descriptor: MethodDescriptor
    request_type: type[Message]
    response_type: type[Message]
    queue: Queue
    has_side_effects: bool
    """GET does not serve such a method, because others may repeat or prefetch a GET."""
    is_carried_through: bool
    """The method is completed also when its caller has gone."""

    @property
    def name(self) -> str:
        return self.descriptor.name

    @property
    def path(self) -> str:
        """Return the path of the method in gRPC."""
        return f"/{self.descriptor.containing_service.full_name}/{self.name}"


@dataclass(frozen=True, slots=True)
class UnaryMethod(Method):
    handler: UnaryHandler[Message, Message]


@dataclass(frozen=True, slots=True)
class StreamingMethod(Method):
    handler: StreamingHandler[Message, Message]


class MethodTable:
    """The methods of all services, by name."""

    def __init__(self, methods: Iterable[UnaryMethod | StreamingMethod]) -> None:
        """Create the table. Raises ValueError where two methods have one name: HTTP serves them by name alone."""
        self._methods: dict[str, UnaryMethod | StreamingMethod] = {}
        for method in methods:
            if method.name in self._methods:
                raise ValueError(f"two methods are called {method.name}")
            self._methods[method.name] = method

    def __iter__(self) -> Iterator[UnaryMethod | StreamingMethod]:
        return iter(self._methods.values())

    def streaming(self, name: str) -> StreamingMethod:
        """Return the streaming method of this name. Raises KeyError, TypeError."""
        method = self._methods[name]
        if not isinstance(method, StreamingMethod):
            raise TypeError(f"{name} does not stream")
        return method


class ServiceEntries:
    """Makes the table's entries for the methods of one service.

    The handler of an RPC has the name of the RPC. Types are fixed in a first call, and the handler is given in a second
    one: in one call, mypy would take the common base of two response types for the response type.
    """

    def __init__(self, service: ServiceDescriptor) -> None:
        self._service = service

    def unary(
        self,
        request_type: type[Request],
        response_type: type[Response],
        queue: Queue = Queue.REQUESTS,
        *,
        ends_with_caller: bool = False,
    ) -> Callable[[UnaryHandler[Request, Response]], UnaryMethod]:
        """Return a function that makes the entry of a handler. It raises KeyError, TypeError.

        `ends_with_caller`: a method with side effects is cancelled too when its caller goes away.
        """

        def entry(handler: UnaryHandler[Request, Response]) -> UnaryMethod:
            descriptor = self._descriptor(handler.__name__, request_type, response_type, streaming=False)
            changes = _has_side_effects(descriptor)
            # The dispatcher calls a handler with messages of `request_type` alone.
            any_handler = cast("UnaryHandler[Message, Message]", handler)
            return UnaryMethod(
                descriptor, request_type, response_type, queue, changes, changes and not ends_with_caller, any_handler
            )

        return entry

    def streaming(
        self, request_type: type[Request], response_type: type[Response], queue: Queue = Queue.REQUESTS
    ) -> Callable[[StreamingHandler[Request, Response]], StreamingMethod]:
        """Return a function that makes the entry of a handler that streams. It raises KeyError, TypeError."""

        def entry(handler: StreamingHandler[Request, Response]) -> StreamingMethod:
            descriptor = self._descriptor(handler.__name__, request_type, response_type, streaming=True)
            changes = _has_side_effects(descriptor)
            any_handler = cast("StreamingHandler[Message, Message]", handler)
            return StreamingMethod(descriptor, request_type, response_type, queue, changes, False, any_handler)

        return entry

    def _descriptor(
        self, name: str, request_type: type[Message], response_type: type[Message], *, streaming: bool
    ) -> MethodDescriptor:
        descriptor = self._service.methods_by_name[name]
        declared = descriptor.input_type, descriptor.output_type, descriptor.server_streaming
        if declared != (request_type.DESCRIPTOR, response_type.DESCRIPTOR, streaming):
            raise TypeError(f"{name} is declared otherwise in {descriptor.containing_service.full_name}")
        return descriptor


def _has_side_effects(descriptor: MethodDescriptor) -> bool:
    return descriptor.GetOptions().idempotency_level != MethodOptions.NO_SIDE_EFFECTS
