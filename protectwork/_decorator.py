"""@protected: a hold around each run of a function, of whatever kind the function is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from pickle import PicklingError
from pkgutil import resolve_name
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import wrapt

from protectwork._hold import Hold

__all__ = ["Decorable", "protect_function"]

Decorable = TypeVar("Decorable", bound="Callable[..., Any] | classmethod[Any, ..., Any] | staticmethod[..., Any]")
"""What @protected takes, and gives back with the same type."""

NewHold = Callable[[], Hold]
Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

if TYPE_CHECKING:
    BoundFunctionWrapper = wrapt.BoundFunctionWrapper[..., Any]
    FunctionWrapper = wrapt.FunctionWrapper[..., Any]
else:  # generic only since wrapt 2
    from wrapt import BoundFunctionWrapper, FunctionWrapper


def protect_function(wrapped: Any, new_hold: Callable[[str], NewHold]) -> Any:
    """Wrap a function of any kind.

    Args:
        wrapped: A def, async def, generator, async generator, method, classmethod, staticmethod, partial, or an
            object that is called.
        new_hold: Given the function's name, returns what makes the hold of one run.

    Raises:
        TypeError: It is none of these; a class above all, whose methods are meant.
    """
    function: Any = getattr(wrapped, "__func__", wrapped)  # what a classmethod or staticmethod stands around
    while isinstance(function, partial):
        function = function.func
    if isinstance(wrapped, type) or not callable(function):
        raise TypeError(
            f"@protected takes a function or a method, got {wrapped!r}; decorate the methods of a class, not the class"
        )
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return _ProtectedFunction(wrapped, _wrapper(function, new_hold(name)))


def _wrapper(function: Callable[..., Any], new_hold: NewHold) -> Wrapper:
    """What runs instead of a function of this kind, as wrapt calls it."""
    if _is(inspect.iscoroutinefunction, function):
        return lambda wrapped, _, args, kwargs: _await(new_hold(), wrapped, args, kwargs)
    if _is(inspect.isasyncgenfunction, function):
        return lambda wrapped, _, args, kwargs: _iterate_async(new_hold(), wrapped(*args, **kwargs))
    if _is(inspect.isgeneratorfunction, function):
        return lambda wrapped, _, args, kwargs: _iterate(new_hold(), wrapped(*args, **kwargs))

    def call(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hold = new_hold()  # and then `with hold`, less the calls that it would cost
        if not hold.begin():
            hold.admit()
        try:
            return wrapped(*args, **kwargs)
        finally:
            hold.release()

    return call


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    return kind(function) or kind(type(function).__call__)  # the latter of an object that is called


async def _await(hold: Hold, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    async with hold:
        return await wrapped(*args, **kwargs)


def _iterate(hold: Hold, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    with _Span(hold):
        return (yield from generator)


async def _iterate_async(hold: Hold, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """What is sent and thrown in goes to the user's generator, as `yield from` has it."""
    async with _Span(hold):
        step = generator.__anext__()
        while True:
            try:
                value = await step
            except StopAsyncIteration:
                return
            try:
                step = generator.asend((yield value))
            except GeneratorExit:
                await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever was thrown in is the user's generator's
                step = generator.athrow(error)


class _Span:
    """A hold from the first `next` of a generator to its end, its close or its garbage collection.

    Every end but the ordinary one may come in a finaliser, which may have interrupted the keeper's lock: so these
    leave the lock alone.
    """

    __slots__ = ("_ended", "_hold")

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._ended = False

    def __enter__(self) -> Self:
        self._hold.__enter__()
        return self

    async def __aenter__(self) -> Self:
        await self._hold.__aenter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = True
        if kind is None:
            self._hold.release()
        else:
            self._hold.drop()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __del__(self) -> None:
        if not self._ended:  # an async generator outlived its loop: its frame goes without being closed
            self._hold.drop()


class _BoundProtectedFunction(BoundFunctionWrapper):
    """A protected function as an attribute of its class or instance; pickles and copies as unprotected ones do."""

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        method: Any = self
        if hasattr(method, "__self__"):
            return getattr, (method.__self__, method.__name__)
        path = f"{method.__module__}:{method.__qualname__}"  # a static method, or a method taken from its class
        try:
            resolve_name(path)
        except (ValueError, AttributeError) as error:  # better here than where it is unpickled
            raise PicklingError(f"cannot pickle {path}: it is not found under that name") from error
        return resolve_name, (path,)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        find, where = self.__reduce_ex__(None)
        return find(*copy.deepcopy(where, memo))


class _ProtectedFunction(FunctionWrapper):
    """A wrapt wrapper that pickles and copies as functions do, by its qualified name: wrapt's own do neither."""

    __bound_function_wrapper__ = _BoundProtectedFunction

    def __reduce_ex__(self, protocol: object) -> str:
        function: Any = self
        return str(function.__qualname__)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self
