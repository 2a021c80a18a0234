"""@protected on functions of every kind: the hold lasts as long as the work, and the function stays what it was."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from programs import run

from protectwork import ProtectionManager, Settings, SettingsError, get_manager, protected
from protectwork._process import reset_manager


@pytest.fixture(autouse=True)
def outside_ecs(monkeypatch) -> Iterator[None]:
    monkeypatch.delenv("ECS_AGENT_URI", raising=False)
    reset_manager()
    yield
    reset_manager()


@pytest.fixture
def manager() -> Iterator[ProtectionManager]:
    """A manager outside ECS: it counts, and makes no call."""
    with ProtectionManager(settings=Settings(backend="off")) as manager:
        yield manager
        assert manager.status().in_flight == 0


def labels(manager: ProtectionManager) -> list[str]:
    return [hold.label for hold in manager.status().holds]


FORMS = {
    "bare": lambda manager: manager.protected,
    "called without arguments": lambda manager: manager.protected(),
    "called with arguments": lambda manager: manager.protected(max_duration=60, on_unprotected="run"),
}


@pytest.fixture(params=FORMS)
def decorate(request, manager) -> Callable[[Any], Any]:
    return FORMS[request.param](manager)


# --- each kind of function


def test_a_function_is_in_flight_while_it_runs(manager, decorate) -> None:
    @decorate
    def double(number: int, *, plus: int = 0) -> int:
        assert manager.status().in_flight == 1
        return number * 2 + plus

    assert (double(21), double(number=20, plus=2)) == (42, 42)
    assert manager.status().in_flight == 0


def test_a_coroutine_is_in_flight_while_it_runs_and_not_before(manager, decorate) -> None:
    @decorate
    async def double(number: int) -> int:
        assert manager.status().in_flight == 1
        await asyncio.sleep(0)
        return number * 2

    async def main() -> int:
        coroutine = double(21)
        assert manager.status().in_flight == 0
        return await coroutine

    assert asyncio.run(main()) == 42
    assert manager.status().in_flight == 0


def test_a_generator_is_in_flight_from_its_first_next_to_its_end(manager, decorate) -> None:
    @decorate
    def count(number: int) -> Iterator[int]:
        yield from range(number)
        assert manager.status().in_flight == 1

    generator = count(2)
    assert manager.status().in_flight == 0
    for _ in generator:
        assert manager.status().in_flight == 1
    assert manager.status().in_flight == 0


def test_an_async_generator_is_in_flight_from_its_first_next_to_its_end(manager, decorate) -> None:
    @decorate
    async def count(number: int) -> AsyncIterator[int]:
        for value in range(number):
            await asyncio.sleep(0)
            yield value

    async def main() -> list[int]:
        generator = count(3)
        assert manager.status().in_flight == 0
        seen = []
        async for value in generator:
            assert manager.status().in_flight == 1
            seen.append(value)
        assert manager.status().in_flight == 0
        return seen

    assert asyncio.run(main()) == [0, 1, 2]


def methods_of(decorate: Callable[[Any], Any]) -> type:
    class Worker:
        number = 21

        @decorate
        def method(self, factor: int) -> int:
            return self.number * factor

        @decorate
        @classmethod
        def outside_a_classmethod(cls, factor: int) -> int:
            return cls.number * factor

        @classmethod
        @decorate
        def inside_a_classmethod(cls, factor: int) -> int:
            return cls.number * factor

        @decorate
        @staticmethod
        def outside_a_staticmethod(factor: int) -> int:
            return 21 * factor

        @staticmethod
        @decorate
        def inside_a_staticmethod(factor: int) -> int:
            return 21 * factor

    return Worker


METHODS = [
    "outside_a_classmethod",
    "inside_a_classmethod",
    "outside_a_staticmethod",
    "inside_a_staticmethod",
]


@pytest.mark.parametrize("name", ["method", *METHODS])
def test_methods_of_every_kind_are_held_and_get_what_they_are_bound_to(manager, decorate, name) -> None:
    seen: list[str] = []
    worker = methods_of(lambda function: decorate(spying(function, manager, seen)))
    assert getattr(worker(), name)(2) == 42
    assert getattr(worker(), name)(factor=2) == 42
    if name == "method":
        assert worker.method(worker(), 2) == 42
    else:
        assert getattr(worker, name)(2) == 42
    assert len(seen) == 3
    assert all(label.endswith(f"Worker.{name}") for label in seen)


def spying(function: Any, manager: ProtectionManager, seen: list[str]) -> Any:
    """The same function, which notes the labels in flight while it runs."""
    kind = type(function) if isinstance(function, classmethod | staticmethod) else None
    inner = function.__func__ if kind else function

    @functools.wraps(inner)
    def spy(*args: Any, **kwargs: Any) -> Any:
        seen.extend(labels(manager))
        return inner(*args, **kwargs)

    return kind(spy) if kind else spy


def test_a_method_of_a_subclass_and_super_are_two_holds(manager) -> None:
    class Base:
        @manager.protected
        def work(self) -> list[str]:
            return labels(manager)

    class Derived(Base):
        @manager.protected
        def work(self) -> list[str]:
            return super().work()

    name = f"{test_a_method_of_a_subclass_and_super_are_two_holds.__name__}.<locals>."
    assert Derived().work() == [f"{name}Derived.work", f"{name}Base.work"]


def test_a_partial_is_held_and_known_by_its_function(manager) -> None:
    def seen(*args: int, **kwargs: int) -> tuple[list[str], tuple[int, ...], dict[str, int]]:
        return labels(manager), args, kwargs

    protected_partial = manager.protected(functools.partial(functools.partial(seen, 1), 2, three=3))
    assert protected_partial(4) == ([seen.__qualname__], (1, 2, 4), {"three": 3})


def test_a_partial_of_a_coroutine_method_is_held_until_it_ends(manager) -> None:
    class Worker:
        async def work(self, number: int) -> int:
            await asyncio.sleep(0)
            assert manager.status().in_flight == 1
            return number

    assert asyncio.run(manager.protected(functools.partial(Worker().work, 42))()) == 42


class Called:
    def __init__(self, manager: ProtectionManager) -> None:
        self.manager = manager

    def __call__(self, number: int) -> tuple[list[str], int]:
        return labels(self.manager), number


class CalledAsync(Called):
    async def __call__(self, number: int) -> tuple[list[str], int]:
        await asyncio.sleep(0)
        return super().__call__(number)


class CalledGenerator(Called):
    def __call__(self, number: int) -> Iterator[tuple[list[str], int]]:
        yield super().__call__(number)


class CalledAsyncGenerator(Called):
    async def __call__(self, number: int) -> AsyncIterator[tuple[list[str], int]]:
        yield super().__call__(number)


def test_an_object_that_is_called_is_held_and_known_by_its_class(manager) -> None:
    async def first() -> Any:
        generator = manager.protected(CalledAsyncGenerator(manager))(42)
        value = await anext(generator)
        return value, await generator.aclose()

    assert manager.protected(Called(manager))(42) == (["Called"], 42)
    assert asyncio.run(manager.protected(CalledAsync(manager))(42)) == (["CalledAsync"], 42)
    assert list(manager.protected(CalledGenerator(manager))(42)) == [(["CalledGenerator"], 42)]
    assert asyncio.run(first()) == ((["CalledAsyncGenerator"], 42), None)


def test_builtins_bound_methods_and_cached_functions_are_held(manager) -> None:
    @manager.protected
    @functools.lru_cache
    def cached(number: int) -> int:
        return number + manager.status().in_flight

    assert (cached(1), cached(1), cached.cache_info().hits) == (2, 2, 1)
    assert manager.protected(len)("four") == 4
    assert manager.protected("a-b".split)("-") == ["a", "b"]


@pytest.mark.parametrize(
    "thing",
    [int, Called, property(len), 5, "nightly", object(), classmethod(5)],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_function_is_refused_where_the_decorator_stands(manager, thing) -> None:
    for decorate in (protected, protected(), manager.protected, manager.protected(label="nightly")):
        with pytest.raises(TypeError, match="takes a function or a method"):
            decorate(thing)


def test_nested_decorators_and_recursion_are_a_hold_for_each_run(manager) -> None:
    @manager.protected(label="outer")
    @manager.protected(label="inner")
    def deep(depth: int) -> list[str]:
        return deep(depth - 1) if depth else labels(manager)

    assert deep(2) == ["outer", "inner"] * 3


def test_another_decorator_may_stand_on_either_side(manager) -> None:
    def shouting(function: Callable[[], str]) -> Callable[[], str]:
        @functools.wraps(function)
        def shout() -> str:
            return function().upper()

        return shout

    def word() -> str:
        return "x" * manager.status().in_flight

    assert shouting(manager.protected(word))() == manager.protected(shouting(word))() == "X"


# --- generators


def echo(manager: ProtectionManager) -> Callable[[], Any]:
    @manager.protected
    def echo() -> Any:
        heard = []
        while True:
            try:
                word = yield len(heard)
            except KeyError as error:
                word = error.args[0]
            if word is None:
                return heard
            heard.append(word)

    return echo


def test_send_throw_and_the_return_value_reach_the_users_generator(manager) -> None:
    generator = echo(manager)()
    assert next(generator) == 0
    assert generator.send("a") == 1
    assert generator.throw(KeyError("b")) == 2
    assert manager.status().in_flight == 1
    with pytest.raises(StopIteration) as stopped:
        generator.send(None)
    assert stopped.value.value == ["a", "b"]
    assert manager.status().in_flight == 0


def test_yield_from_a_protected_generator_is_as_from_any(manager) -> None:
    def outer() -> Any:
        return (yield from echo(manager)())

    generator = outer()
    next(generator)
    generator.send("a")
    assert labels(manager) == [f"{echo.__qualname__}.<locals>.echo"]
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == ["a"]


def test_an_exception_in_a_generator_ends_its_hold(manager) -> None:
    @manager.protected
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("of the user")

    generator = failing()
    next(generator)
    with pytest.raises(LookupError, match="of the user"):
        next(generator)
    assert manager.status().in_flight == 0


def test_close_runs_the_users_finally_inside_the_hold_and_ends_it(manager) -> None:
    seen = []

    @manager.protected
    def cleaning() -> Iterator[int]:
        try:
            yield 1
        finally:
            seen.append(manager.status().in_flight)

    generator = cleaning()
    next(generator)
    generator.close()
    assert seen == [1]
    assert manager.status().in_flight == 0


def test_a_generator_that_was_never_begun_was_never_in_flight(manager) -> None:
    generator = echo(manager)()
    assert manager.status().in_flight == 0
    generator.close()
    assert manager.status().in_flight == 0


def test_a_generator_that_does_not_end_when_closed_raises_as_ever_and_ends_its_hold(manager) -> None:
    @manager.protected
    def stubborn() -> Iterator[int]:
        with suppress(GeneratorExit):
            yield 1
        yield 2

    generator = stubborn()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()
    assert manager.status().in_flight == 0


def test_arguments_that_do_not_fit_a_generator_are_told_at_the_call(manager) -> None:
    with pytest.raises(TypeError, match="unexpected keyword"):
        echo(manager)(word=1)


# --- async generators


def async_echo(manager: ProtectionManager) -> Callable[[], Any]:
    @manager.protected
    async def echo() -> Any:
        heard = 0
        while True:
            try:
                word = yield heard
                await asyncio.sleep(0)
            except KeyError:
                word = "thrown in"
            if word is None:
                return
            heard += 1

    return echo


def test_asend_and_athrow_reach_the_users_generator(manager) -> None:
    async def main() -> None:
        generator = async_echo(manager)()
        assert await anext(generator) == 0
        assert await generator.asend("a") == 1
        assert await generator.athrow(KeyError("b")) == 2
        assert manager.status().in_flight == 1
        with pytest.raises(ZeroDivisionError):
            await generator.athrow(ZeroDivisionError)
        assert manager.status().in_flight == 0
        with pytest.raises(StopAsyncIteration):
            await anext(generator)

    asyncio.run(main())


def test_aclose_runs_the_users_finally_inside_the_hold_and_ends_it(manager) -> None:
    seen = []

    @manager.protected
    async def cleaning() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append(manager.status().in_flight)

    async def main() -> None:
        generator = cleaning()
        await anext(generator)
        await generator.aclose()
        assert seen == [1]
        assert manager.status().in_flight == 0

    asyncio.run(main())


def test_an_async_generator_that_was_never_begun_was_never_in_flight(manager) -> None:
    async def main() -> None:
        generator = async_echo(manager)()
        assert manager.status().in_flight == 0
        await generator.aclose()
        assert manager.status().in_flight == 0

    asyncio.run(main())


def test_a_cancelled_step_of_an_async_generator_ends_its_hold(manager) -> None:
    @manager.protected
    async def waiting() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def main() -> None:
        generator = waiting()
        await anext(generator)
        step = asyncio.ensure_future(anext(generator))
        await asyncio.sleep(0)
        assert manager.status().in_flight == 1
        step.cancel()
        await asyncio.wait([step])
        assert step.cancelled()
        assert manager.status().in_flight == 0

    asyncio.run(main())


def test_an_abandoned_async_generator_is_closed_by_its_loop(manager) -> None:
    async def main() -> None:
        async for _ in async_echo(manager)():
            assert manager.status().in_flight == 1
            break
        gc.collect()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert manager.status().in_flight == 0

    asyncio.run(main())


def test_an_async_generator_that_outlives_its_loop_ends_its_hold_when_it_is_collected(manager) -> None:
    async def begin(generator: Any) -> None:
        assert await anext(generator) == 0

    generator = async_echo(manager)()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin(generator))
    loop.close()
    assert manager.status().in_flight == 1
    del generator
    gc.collect()
    assert manager.status().in_flight == 0


# --- finalisers


@pytest.fixture
def lock_of_the_keeper_is_held(manager) -> Iterator[None]:
    """Another thread has the lock: whoever takes it waits until the test is over."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with manager._keeper.lock:
            held.set()
            over.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    yield
    over.set()
    thread.join()


def in_a_cycle(generator: Any) -> None:
    """Leave it to the garbage collector alone."""
    cycle = [generator]
    cycle.append(cycle)


def collect_in_time() -> None:
    collected = threading.Thread(target=gc.collect, daemon=True)
    collected.start()
    collected.join(2)
    assert not collected.is_alive(), "the finaliser waits for the keeper's lock"


def suspended(function: Callable[[], Any]) -> None:
    """Begin a generator, and throw it away."""
    generator = function()
    next(generator)
    in_a_cycle(generator)


def test_a_collected_generator_ends_its_hold_and_its_finaliser_takes_no_lock(manager, request) -> None:
    @manager.protected
    def plain() -> Iterator[int]:
        yield 1

    @manager.protected
    def raising() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise LookupError("while it is closed")

    @manager.protected
    def returning() -> Iterator[int]:
        try:
            yield 1
        except GeneratorExit:
            return

    unraised: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraised.append
    try:
        gc.disable()
        for function in (plain, raising, returning):
            suspended(function)
        assert manager.status().in_flight == 3
        request.getfixturevalue("lock_of_the_keeper_is_held")
        collect_in_time()
    finally:
        gc.enable()
        sys.unraisablehook = hook
    assert [type(one.exc_value) for one in unraised] == [LookupError]
    assert len(manager._keeper.holds) == 3


def test_a_collected_coroutine_ends_its_hold_and_its_finaliser_takes_no_lock(manager, request) -> None:
    @manager.protected
    async def waiting() -> None:
        await asyncio.get_running_loop().create_future()

    async def begin() -> None:
        coroutine = waiting()
        coroutine.send(None)
        in_a_cycle(coroutine)

    gc.disable()
    try:
        asyncio.run(begin())
        assert manager.status().in_flight == 1
        request.getfixturevalue("lock_of_the_keeper_is_held")
        collect_in_time()
    finally:
        gc.enable()


def test_a_collected_generator_with_a_hold_of_its_own_takes_no_lock(manager, request) -> None:
    def holding() -> Iterator[int]:
        with manager.protect():
            yield 1

    gc.disable()
    try:
        suspended(holding)
        assert manager.status().in_flight == 1
        request.getfixturevalue("lock_of_the_keeper_is_held")
        collect_in_time()
    finally:
        gc.enable()


def test_a_million_closed_generators_leave_nothing_behind_outside_ecs(manager) -> None:
    @manager.protected
    def one() -> Iterator[int]:
        yield 1

    for _ in range(1000):
        generator = one()
        next(generator)
        generator.close()
    assert len(manager._keeper.holds) <= 1


# --- results and exceptions


def test_the_exception_is_the_users_own_with_its_frame_and_context(manager) -> None:
    error = LookupError("of the user")

    def failing() -> None:
        try:
            _ = {}["before"]
        except KeyError:
            raise error  # noqa: B904 - the context is what is looked at

    async def failing_async() -> None:
        failing()

    def failing_generator() -> Iterator[None]:
        failing()
        yield

    async def failing_async_generator() -> AsyncIterator[None]:
        failing()
        yield

    async def main(awaitable: Any) -> None:
        await awaitable

    runs: dict[Any, Callable[[Any], Any]] = {
        failing: lambda function: function(),
        failing_async: lambda function: asyncio.run(main(function())),
        failing_generator: lambda function: next(function()),
        failing_async_generator: lambda function: asyncio.run(main(anext(function()))),
    }
    for function, go in runs.items():
        with pytest.raises(LookupError) as caught:
            go(manager.protected(function))
        assert caught.value is error
        assert isinstance(error.__context__, KeyError)
        assert error.__cause__ is None
        frames = [frame.name for frame in traceback.extract_tb(caught.tb)]
        assert frames[-1] == "failing"
        assert function.__name__ in frames
        assert manager.status().in_flight == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, StopIteration])
def test_exceptions_that_are_no_errors_pass_through_and_end_the_hold(manager, error) -> None:
    @manager.protected
    def leaving() -> None:
        raise error

    with pytest.raises(error):
        leaving()
    assert manager.status().in_flight == 0


def test_results_are_handed_on_untouched(manager) -> None:
    thing = object()
    assert manager.protected(lambda: thing)() is thing
    assert manager.protected(lambda: None)() is None

    async def main() -> object:
        return await manager.protected(asyncio.sleep)(0, thing)

    assert asyncio.run(main()) is thing


# --- what a function is known by


async def kind_async(one: int, /, two: str = "2", *rest: int, three: bool, **more: object) -> float:
    """Say so."""
    raise NotImplementedError


def kind_sync(one: int, /, two: str = "2", *rest: int, three: bool, **more: object) -> float:
    """Say so."""
    raise NotImplementedError


def kind_generator(one: int, /, two: str = "2", *rest: int, three: bool, **more: object) -> Iterator[float]:
    """Say so."""
    yield one


async def kind_async_generator(
    one: int, /, two: str = "2", *rest: int, three: bool, **more: object
) -> AsyncIterator[float]:
    """Say so."""
    yield one


class Kinds:
    def method(self, one: int) -> float:
        """Say so."""
        raise NotImplementedError

    async def method_async(self, one: int) -> float:
        """Say so."""
        raise NotImplementedError


ASKED: list[Callable[[Any], object]] = [
    inspect.signature,
    inspect.iscoroutinefunction,
    asyncio.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isfunction,
    inspect.ismethod,
    inspect.isroutine,
    inspect.getdoc,
    inspect.getsource,
    inspect.getfile,
    inspect.getfullargspec,
    callable,
    lambda function: inspect.get_annotations(function, eval_str=True),
    lambda function: (function.__name__, function.__qualname__, function.__doc__, function.__module__),
]


@pytest.mark.parametrize("ask", ASKED, ids=lambda ask: ask.__name__)
@pytest.mark.parametrize(
    "function",
    [kind_sync, kind_async, kind_generator, kind_async_generator, Kinds.method, Kinds().method, Kinds().method_async],
    ids=lambda function: function.__qualname__,
)
def test_a_protected_function_answers_as_the_function_does(decorate, ask, function) -> None:
    assert ask(decorate(function)) == ask(function)


def test_the_function_is_found_below_the_decorator(manager) -> None:
    assert inspect.unwrap(manager.protected(kind_sync)) is kind_sync


def test_an_attribute_set_on_the_function_stays(manager) -> None:
    def task() -> None: ...

    task.retries = 3
    assert manager.protected(task).retries == 3


# --- options


BAD_OPTIONS = [
    ({"max_duration": -1}, "max_duration must be from 0.001 s to 48 h, got -1 s"),
    ({"max_duration": 0}, "max_duration must be from 0.001 s to 48 h, got 0 s"),
    ({"max_duration": timedelta(hours=48, seconds=1)}, "max_duration must be from 0.001 s to 48 h, got 172801 s"),
    ({"max_duration": float("nan")}, "max_duration must be from 0.001 s to 48 h, got nan s"),
    ({"max_duration": "2h"}, "max_duration must be a number of seconds or a timedelta, got '2h'"),
    ({"max_duration": True}, "max_duration must be a number of seconds or a timedelta, got True"),
    ({"on_unprotected": "stop"}, "on_unprotected must be 'run' or 'raise', got 'stop'"),
    ({"on_unprotected": ["run"]}, "on_unprotected must be 'run' or 'raise', got ['run']"),
    ({"on_unprotected": True}, "on_unprotected must be 'run' or 'raise', got True"),
    ({"label": 5}, "label must be a string, got 5"),
    ({"label": b"nightly"}, "label must be a string, got b'nightly'"),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=repr)
def test_a_bad_option_is_told_where_the_decorator_stands(manager, options, message) -> None:
    for decorator in (protected, manager.protected):
        with pytest.raises(SettingsError) as caught:
            decorator(**options)
        assert str(caught.value) == message


def test_an_unknown_option_is_told_where_the_decorator_stands() -> None:
    with pytest.raises(TypeError, match="lable"):
        protected(lable="nightly")


def test_the_label_is_the_qualified_name_unless_one_is_given(manager) -> None:
    @manager.protected
    def here() -> list[str]:
        return labels(manager)

    @manager.protected(label="nightly\x1b[31m")
    def named() -> list[str]:
        return labels(manager)

    @manager.protected(label="x" * 10_000)
    def longest() -> list[str]:
        return labels(manager)

    assert here() == ["test_the_label_is_the_qualified_name_unless_one_is_given.<locals>.here"]
    assert named() == ["nightly\\x1b[31m"]
    assert [len(label) for label in longest()] == [200]


def test_the_decorator_of_the_module_uses_the_process_manager_and_builds_none_at_import(monkeypatch) -> None:
    from protectwork import _process

    @protected
    def work() -> int:
        return get_manager().status().in_flight

    assert _process._process.manager is None
    assert work() == 1


# --- pickles and copies


@protected
def module_level() -> int:
    return 42


class Pickled:
    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pickled) and self.number == other.number

    __hash__ = None

    @protected
    def method(self) -> int:
        return self.number

    @protected
    @classmethod
    def outside_a_classmethod(cls) -> int:
        return 42

    @classmethod
    @protected
    def inside_a_classmethod(cls) -> int:
        return 42

    @protected
    @staticmethod
    def outside_a_staticmethod() -> int:
        return 42

    @staticmethod
    @protected
    def inside_a_staticmethod() -> int:
        return 42


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_module_level_function_is_the_same_object_after_pickling(protocol) -> None:
    assert pickle.loads(pickle.dumps(module_level, protocol)) is module_level


@pytest.mark.parametrize("again", [lambda thing: pickle.loads(pickle.dumps(thing)), copy.copy, copy.deepcopy])
@pytest.mark.parametrize("name", METHODS)
def test_class_and_static_methods_survive_pickling_and_copying(again, name) -> None:
    assert again(getattr(Pickled, name))() == 42
    assert again(getattr(Pickled(1), name))() == 42


@pytest.mark.parametrize("again", [lambda thing: pickle.loads(pickle.dumps(thing)), copy.copy, copy.deepcopy])
def test_methods_and_functions_survive_pickling_and_copying(again) -> None:
    assert again(module_level) is module_level
    assert again(Pickled(42).method)() == 42
    assert again(Pickled.method)(Pickled(42)) == 42


def test_a_deep_copy_of_a_method_is_bound_to_a_copy_of_its_instance() -> None:
    original = Pickled(42)
    copied = copy.deepcopy(original.method)
    assert copied.__self__ == original
    assert copied.__self__ is not original
    assert copy.copy(original.method).__self__ is original


def test_what_cannot_be_found_again_fails_where_it_is_pickled(manager) -> None:
    class Local:
        @manager.protected
        def method(self) -> None: ...

    @manager.protected
    def local() -> None: ...

    for thing in (local, Local.method):
        with pytest.raises((pickle.PicklingError, AttributeError)):
            pickle.dumps(thing)


JOBS = """
import os
from protectwork import get_manager, protected

@protected
def job(number):
    return os.getpid(), number * get_manager().status().in_flight

@protected
async def job_async(number):
    return os.getpid(), number * get_manager().status().in_flight

class Worker:
    def __init__(self, number):
        self.number = number

    @protected
    def method(self, number):
        return os.getpid(), self.number * number * get_manager().status().in_flight

    @protected
    @staticmethod
    def static(number):
        return os.getpid(), number * get_manager().status().in_flight
"""

POOLS = """
import asyncio, multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
import jobs
from protectwork import protected

@protected
def of_main(number):
    return jobs.job(number)

def run_async(number):
    return asyncio.run(jobs.job_async(number))

@protected
def put(queue):
    queue.put(jobs.job(7))

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        work = [jobs.job, of_main, jobs.Worker(1).method, jobs.Worker.static, run_async]
        pairs = [future.result() for future in [pool.submit(function, 7) for function in work]]
    with context.Pool(1) as pool:
        pairs += pool.map(jobs.job, [7])
    queue = context.SimpleQueue()
    process = context.Process(target=put, args=(queue,))
    process.start()
    pairs.append(queue.get())
    process.join()
    assert process.exitcode == 0
    assert all(pid != os.getpid() for pid, _ in pairs), pairs
    print([product for _, product in pairs])
"""


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_process_pools_take_protected_functions_and_methods(tmp_path: Path, method) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "pools.py").write_text(POOLS)
    done = run(tmp_path / "pools.py", method, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    # of_main calls job: two in flight; and so does put.
    assert done.lines == ["[7, 14, 7, 7, 7, 7, 14]"]
