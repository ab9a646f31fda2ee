"""Stand-ins: objects that behave as a large result does, and load it when somebody touches it.

A stand-in answers questions about its class from what is recorded. Every other attribute and every special method goes
to the value. Its real type is made for the class it stands in for and has exactly the special methods of that class,
because Python and numpy look them up on the type: `callable`, `len`, `numpy.exp(frame)` and `ndarray * sparse` all
depend on which of them are there.

What no stand-in can do is be the value: `x is value` and `type(x) is cls` are false, and compiled code that wants the
exact type does not take it. `prefect_helix.runtime.values.stands_in_for` says for which values that does not matter.
"""

from __future__ import annotations

import copy
import functools
import operator
import threading
from collections.abc import Callable, Mapping
from typing import Any, SupportsIndex, cast


class _Slot:
    """The state of one stand-in."""

    __slots__ = ("cls", "handle", "load", "lock", "value")

    def __init__(self, load: Callable[[], object], cls: type, handle: object) -> None:
        self.load: Callable[[], object] | None = load
        self.cls = cls
        self.handle = handle
        self.lock = threading.RLock()  # re-entrant: a load that touches its own stand-in must fail, not hang
        self.value: Any = None

    def get(self) -> Any:
        if self.load is not None:
            with self.lock:
                if self.load is not None:
                    self.value = self.load()
                    self.load = None
        return self.value


class _StandInType(type):
    """The type of `type(x)`: what `type(x)(...)`, `type(x) == cls` and `isinstance(y, type(x))` ask is about `cls`."""

    stands_for: type | None = None

    def __call__(cls, *args: object, **kwargs: object) -> Any:
        if cls.stands_for is None:
            raise TypeError("A StandIn is made by stand_in().")
        return cls.stands_for(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.stands_for) if cls.stands_for else super().__instancecheck__(instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.stands_for) if cls.stands_for else super().__subclasscheck__(subclass)

    def __eq__(cls, other: object) -> bool:
        return other is cls or (cls.stands_for is not None and cls.stands_for == other)

    def __hash__(cls) -> int:
        return hash(cls.stands_for) if cls.stands_for else super().__hash__()

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.stands_for, name)


class StandIn(metaclass=_StandInType):
    """A large result that is loaded when somebody touches it.

    Made by `stand_in`. Operators and other special methods give the value's own answer; in-place operators give back
    the stand-in where the value gives back itself, so that names for one object stay names for one object.
    """

    __slots__ = ("__weakref__", "_helix_cell")

    def __helix_handle__(self) -> object:
        """What the stand-in was made with; does not load."""
        return _cell(self).handle

    def __getattribute__(self, name: str) -> Any:
        """Attributes are the value's; the class is known without it."""
        if name in _OWN:
            return object.__getattribute__(self, name)
        cell = _cell(self)
        if name == "__class__" and cell.load is not None:
            return cell.cls
        return getattr(cell.get(), name)

    def __setattr__(self, name: str, value: object) -> None:
        """Sets it on the value."""
        setattr(_cell(self).get(), name, plain(value))

    def __delattr__(self, name: str) -> None:
        """Deletes it from the value."""
        delattr(_cell(self).get(), name)

    def __copy__(self) -> Any:
        """A copy of the value, no stand-in."""
        return copy.copy(_cell(self).get())

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A deep copy of the value, no stand-in."""
        return copy.deepcopy(_cell(self).get(), memo)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickles the value; what is unpickled is the plain value."""
        # The value whole, not its own reduction: what refers back to the value must find the very same object.
        return operator.getitem, ((_cell(self).get(),), 0)


_cell: Callable[[StandIn], _Slot] = vars(StandIn)["_helix_cell"].__get__
_set_cell: Callable[[StandIn, _Slot], None] = vars(StandIn)["_helix_cell"].__set__
# Asked of the stand-in itself: unlike the other special methods these are looked up on the object.
_OWN = frozenset({"__helix_handle__", "__reduce_ex__", "__copy__", "__deepcopy__"})
# Special methods of a class that are about the class or about making and ending objects, not about using them.
_NOT_FORWARDED = frozenset(vars(StandIn)) | {
    "__class__",
    "__class_getitem__",
    "__del__",
    "__getattr__",
    "__init__",
    "__init_subclass__",
    "__new__",
    "__reduce__",
    "__slots__",
    "__subclasshook__",
}
_IN_PLACE = frozenset(name for name in dir(operator) if name.startswith("__i") and f"__{name[3:]}" in dir(operator))


def stand_in(load: Callable[[], object], cls: type, handle: object) -> StandIn:
    """Make a stand-in for the value that `load` gives.

    Args:
        load: Gives the value. It is called by the first touch, once, whatever the number of threads; if it raises, the
            exception goes to whoever touched and the next touch calls it again. It is let go once it has succeeded.
        cls: The class of the value.
        handle: What `__helix_handle__` gives back.
    """
    made: StandIn = object.__new__(_class_for(cls))
    _set_cell(made, _Slot(load, cls, handle))
    return made


def is_stand_in(value: object) -> bool:
    """Whether `value` is a stand-in; never loads it."""
    return type(type(value)) is _StandInType


def is_touched(standin: StandIn) -> bool:
    """Whether the value is loaded."""
    return _cell(standin).load is None


def plain(value: object) -> Any:
    """The value itself: of a stand-in what it stands for, loaded if need be; anything else as it is."""
    return _cell(cast("StandIn", value)).get() if is_stand_in(value) else value


def _plain_within(value: Any) -> Any:
    """`value` with the stand-ins in nested lists, tuples and dicts replaced by their values."""
    if type(value) in (list, tuple):
        return type(value)(map(_plain_within, value))
    if type(value) is dict:
        return {key: _plain_within(part) for key, part in value.items()}
    return plain(value)


@functools.lru_cache(maxsize=256)
def _class_for(cls: type) -> type[StandIn]:
    """The type of stand-ins for `cls`: under its name, since people print `type(x).__name__`."""
    namespace: dict[str, Any] = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__}
    for name in dir(cls):
        if name.startswith("__") and name.endswith("__") and name not in _NOT_FORWARDED:
            special = getattr(cls, name)
            if special is None:
                namespace[name] = None  # as in `__hash__ = None`: the class says that it does not have it
            elif callable(special):
                namespace[name] = _forwarded(name, special)
    made = cast("type[StandIn]", _StandInType(cls.__name__, (StandIn,), namespace))
    made.stands_for = cls
    return made


def _forwarded(name: str, special: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a stand-in's type that does on the value what `special` does, with no stand-ins as arguments."""
    if name == "__array_ufunc__":
        return _array_ufunc
    if name == "__array_function__":
        return _array_function

    @functools.wraps(special)
    def method(self: StandIn, /, *args: object, **kwargs: object) -> Any:
        value = _cell(self).get()
        result = getattr(value, name)(*map(plain, args), **kwargs)
        return self if result is value and name in _IN_PLACE else result

    return method


# numpy asks these two with the stand-ins among the arguments; asked again with the values, it dispatches as ever.
def _array_ufunc(self: StandIn, ufunc: Callable[..., Any], method: str, /, *inputs: object, **kwargs: object) -> Any:
    return getattr(ufunc, method)(*map(plain, inputs), **_plain_within(kwargs))


def _array_function(
    self: StandIn, function: Callable[..., Any], types: object, args: tuple[Any, ...], kwargs: Mapping[str, Any], /
) -> Any:
    return function(*_plain_within(args), **_plain_within(kwargs))
