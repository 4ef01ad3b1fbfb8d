"""Data classes as JSON-ready data and back, by their annotations; what comes back is checked."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""What JSON has no number for, by the text that stands for it."""

LONG = 4
"""Texts from which on a tuple of known names is written as their positions."""


class Plain:
    """Writes values as what JSON holds, and reads them again as the types that are asked for.

    Floats keep their bits. Fields that hold functions are left out; read again, they
    have their default, or a function that raises ``LookupError``.

    Parameters
    ----------
    types
        What annotations name that their own modules import for type checkers alone.
    names
        Texts that occur often: long tuples of them are written as positions among these.
    own
        By class, how it is written and read, where its fields do not say it.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Point:
    ...     x: "float"
    ...     tags: "tuple[str, ...]" = ()
    >>> plain = Plain()
    >>> plain.write(Point(float("nan"), ("a",)))
    {'x': 'nan', 'tags': ['a']}
    >>> plain.read(Point, {"x": "inf", "tags": []}).x
    inf
    """

    def __init__(
        self,
        types: Mapping[str, Any] | None = None,
        names: tuple[str, ...] = (),
        own: Mapping[type, tuple[Any, Any]] | None = None,
    ) -> None:
        self._types = dict(types or {})
        self._names = names
        self._places = {name: place for place, name in enumerate(names)}
        self._own = dict(own or {})
        self._hints = cache(self._hints_of)

    def write(self, value: Any) -> Any:
        """Return a value as JSON holds it.

        Raises
        ------
        TypeError
            If it holds something else than data.
        """
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            number = float(value)
            return number if math.isfinite(number) else str(number)
        if type(value) in self._own:
            return self._own[type(value)][0](value)
        if is_dataclass(value) and not isinstance(value, type):
            return {name: self.write(getattr(value, name)) for name in self._hints(type(value))}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return {name: self.write(getattr(value, name)) for name in value._fields}
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value):
                return {key: self.write(item) for key, item in value.items()}
            return [[self.write(key), self.write(item)] for key, item in value.items()]
        if isinstance(value, frozenset | set):
            return self._texts(tuple(sorted(value)))
        if isinstance(value, tuple | list):
            return self._texts(tuple(value))
        raise TypeError(f"{type(value).__name__} is no data")

    def _texts(self, value: tuple[Any, ...]) -> Any:
        places = self._places
        if len(value) >= LONG and all(isinstance(x, str) and x in places for x in value):
            return {"names": [places[each] for each in value]}
        return [self.write(each) for each in value]

    def read(self, hint: Any, data: Any, where: str = "") -> Any:
        """Return the value of a type that ``data`` stands for; ``where`` says so in errors.

        Raises
        ------
        ValueError
            If it is no such value: says where, and what is expected.
        """
        origin = get_origin(hint)
        if hint is Any:
            return data
        if origin in (Union, types.UnionType):
            return self._read_one_of(get_args(hint), data, where)
        if hint in self._own:
            return self._own[hint][1](data)
        if hint in (None, type(None), bool, int, float, str):
            return _simple(hint, data, where)
        if origin is tuple:
            return self._read_tuple(get_args(hint), data, where)
        if origin is frozenset:
            (item,) = get_args(hint)
            return frozenset(self._read_tuple((item, ...), data, where))
        if origin is not None and issubclass(origin, Mapping):
            return self._read_mapping(get_args(hint), data, where)
        if isinstance(hint, type):
            return self._read_fields(hint, data, where)
        raise TypeError(f"{hint} is no type that is read")

    def _read_one_of(self, hints: tuple[Any, ...], data: Any, where: str) -> Any:
        if data is None and type(None) in hints:
            return None
        told = []
        for hint in hints:
            if hint is type(None):
                continue
            try:
                return self.read(hint, data, where)
            except ValueError as error:
                told.append(str(error))
        raise ValueError(told[-1])

    def _read_tuple(self, hints: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
        if isinstance(data, dict) and list(data) == ["names"] and isinstance(data["names"], list):
            try:
                return tuple(self._names[_place(each)] for each in data["names"])
            except (IndexError, TypeError):
                raise ValueError(f"{where}: names a place that there is not") from None
        if not isinstance(data, list):
            raise ValueError(f"{where}: {_told(data)} where a list is expected")
        if len(hints) == 2 and hints[1] is Ellipsis:
            return tuple(self.read(hints[0], each, f"{where}[{i}]") for i, each in enumerate(data))
        if len(data) != len(hints):
            raise ValueError(f"{where}: {len(data)} entries where {len(hints)} are expected")
        return tuple(
            self.read(hint, each, f"{where}[{i}]")
            for i, (hint, each) in enumerate(zip(hints, data, strict=True))
        )

    def _read_mapping(self, hints: tuple[Any, ...], data: Any, where: str) -> dict[Any, Any]:
        key, item = hints
        if key is str:
            if not isinstance(data, dict):
                raise ValueError(f"{where}: {_told(data)} where an object is expected")
            return {name: self.read(item, each, f"{where}.{name}") for name, each in data.items()}
        if data == {}:
            return {}
        pairs = self._read_tuple((tuple[key, item], ...), data, where)  # type: ignore[valid-type]
        return dict(pairs)

    def _read_fields(self, hint: type, data: Any, where: str) -> Any:
        hints = self._hints(hint)
        if not isinstance(data, dict):
            raise ValueError(f"{where}: {_told(data)} where an object is expected")
        for name in data:
            if name not in hints:
                raise ValueError(f"{where}: has {name!r}, which is not known here")
        for name in hints:
            if name not in data:
                raise ValueError(f"{where}: lacks {name!r}")
        found = {
            name: self.read(each, data[name], f"{where}.{name}") for name, each in hints.items()
        }
        return hint(**dict.fromkeys(_functions(hint), _no_data), **found)

    def _hints_of(self, hint: type) -> dict[str, Any]:
        """Return the types of the fields of a class that hold data."""
        found = get_type_hints(hint, localns=self._types)
        if is_dataclass(hint):
            found = {each.name: found[each.name] for each in fields(hint)}
        else:
            found = {name: found[name] for name in hint._fields}  # type: ignore[attr-defined]
        return {name: each for name, each in found.items() if not _is_function(each)}


def _functions(hint: type) -> list[str]:
    """Return the fields that need a value, and whose annotation says a function."""
    if not is_dataclass(hint):
        return []
    return [
        each.name
        for each in fields(hint)
        if each.default is MISSING
        and each.default_factory is MISSING
        and str(each.type).startswith("Callable")
    ]


def _no_data(*_: object) -> Any:
    """Stand for a function that was left out."""
    raise LookupError("a function is no data, and was left out")


def _is_function(hint: Any) -> bool:
    origin = get_origin(hint)
    return origin is not None and getattr(origin, "__name__", "") == "Callable"


def _place(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TypeError
    return value


def _simple(hint: Any, data: Any, where: str) -> Any:
    """Return a number, a text, a truth value or nothing, as it is."""
    if hint in (None, type(None)) and data is None:
        return None
    if hint is float and not isinstance(data, bool):
        if isinstance(data, int | float):
            return data
        if isinstance(data, str) and data in NOT_FINITE:
            return NOT_FINITE[data]
    elif isinstance(data, hint) and (hint is not int or not isinstance(data, bool)):
        return data
    said = "nothing" if hint in (None, type(None)) else hint.__name__
    raise ValueError(f"{where}: {_told(data)} where {said} is expected")


def _told(data: Any) -> str:
    """Return data as a message shows it: short."""
    text = repr(data)
    return text if len(text) <= 40 else f"{text[:37]}..."
