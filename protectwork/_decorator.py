"""@protected: a hold around each run of a function, of whatever kind the function is."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

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
        wrapped: A def, async def, generator, async generator, method, classmethod, staticmethod or partial.
        new_hold: Given the function's name, returns what makes the hold of one run.

    Raises:
        TypeError: It is none of these; a class above all, whose methods are meant.
    """
    function: Any = getattr(wrapped, "__func__", wrapped)  # what a classmethod or staticmethod stands around
    if isinstance(wrapped, type) or not callable(function):
        raise TypeError(
            f"@protected takes a function or a method, got {wrapped!r}; decorate the methods of a class, not the class"
        )
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return _ProtectedFunction(wrapped, _wrapper(function, new_hold(name)))


def _wrapper(function: Callable[..., Any], new_hold: NewHold) -> Wrapper:
    """What runs instead of a function of this kind, as wrapt calls it."""
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
        return lambda wrapped, _, args, kwargs: _await(new_hold(), wrapped, args, kwargs)
    if inspect.isasyncgenfunction(function):
        return lambda wrapped, _, args, kwargs: _iterate_async(new_hold(), wrapped(*args, **kwargs))
    if inspect.isgeneratorfunction(function):
        return lambda wrapped, _, args, kwargs: _iterate(new_hold(), wrapped(*args, **kwargs))

    def call(wrapped: Callable[..., Any], _: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with new_hold():
            return wrapped(*args, **kwargs)

    return call


async def _await(hold: Hold, wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    async with hold:
        return await wrapped(*args, **kwargs)


def _iterate(hold: Hold, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Hold from the first `next` to the end, the close or the garbage collection of a generator."""
    with hold:
        try:
            return (yield from generator)
        except GeneratorExit:
            hold.drop()  # perhaps in a finaliser: leave the lock alone
            raise


async def _iterate_async(hold: Hold, generator: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, Any]:
    """The same for an async generator; what is sent and thrown in goes to the user's, as `yield from` has it."""
    async with hold:
        try:
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
        except GeneratorExit:
            hold.drop()
            raise


class _BoundProtectedFunction(BoundFunctionWrapper):
    """A bound method, which pickles as bound methods do."""

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        method: Any = self
        return getattr, (method.__self__, method.__name__)


class _ProtectedFunction(FunctionWrapper):
    """A wrapt wrapper that pickles as functions do, by its qualified name: wrapt's own do not pickle at all."""

    __bound_function_wrapper__ = _BoundProtectedFunction

    def __reduce_ex__(self, protocol: object) -> str:
        function: Any = self
        return str(function.__qualname__)
