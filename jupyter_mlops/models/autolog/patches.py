"""Patches: the places where scikit-learn is watched, all of which can be undone. Used by ``autolog``.

Wrapped methods refer to nothing but ``observed`` of this module, so that classes made in a notebook can still
be sent to other processes. Functions that compute metrics are not replaced, because scorers are pickled by
their names; what is watched is the checking of arguments that they all do first.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Protocol

METHODS = ("fit", "fit_predict", "predict", "predict_proba", "decision_function", "score")
CROSS_VALIDATIONS = ("cross_validate", "cross_val_score")
_INNER = ("sklearn.", "joblib.")
_MARK = "__autologged__"


class Watcher(Protocol):
    """Who is told of what the user's code does, after it was done; whatever it raises is kept from them."""

    def called(
        self, method: str, estimator: Any, arguments: Mapping[str, Any], result: Any, frame: FrameType
    ) -> None: ...

    def measured(self, function: str, arguments: Mapping[str, Any], frame: FrameType) -> None: ...

    def cross_validated(self, function: str, arguments: Mapping[str, Any], result: Any) -> None: ...

    def failed(self, error: Exception) -> None: ...


class _State(threading.local):
    depth = 0


_watcher: Watcher | None = None
_undo: list[Callable[[], None]] = []
_state = _State()
_guard = threading.RLock()


def apply(watcher: Watcher) -> None:
    """Tell ``watcher`` from now on what user code does with estimators; it takes the place of another."""
    global _watcher
    with _guard:
        _watcher = watcher
        if _undo:
            return
        from sklearn.base import BaseEstimator

        for kind in _kinds(BaseEstimator):
            _watch_class(kind)
        _watch_new_classes(BaseEstimator)
        _watch_cross_validation()
        _watch_metrics()


def undo() -> None:
    """Leave scikit-learn as it was before ``apply``."""
    global _watcher
    with _guard:
        _watcher = None
        while _undo:
            _undo.pop()()


def observed(
    original: Callable[..., Any], method: str, estimator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a method and tell the watcher, if the user's code called it and not scikit-learn itself."""
    watcher, frame = _watcher, sys._getframe(2)
    if watcher is None or _state.depth or _is_inner(frame):
        return original(estimator, *args, **kwargs)
    with _inside():
        result = original(estimator, *args, **kwargs)
        with _kept_from_user(watcher):
            watcher.called(method, estimator, _bound(original, estimator, args, kwargs), result, frame)
    return result


def _kinds(base: type) -> Iterator[type]:
    waiting: list[type] = [base]
    seen = {base}
    while waiting:
        kind = waiting.pop()
        yield kind
        below: list[type] = type.__subclasses__(kind)
        fresh = [one for one in below if one not in seen]
        seen.update(fresh)
        waiting += fresh


def _watch_class(kind: type) -> None:
    """Wrap the methods of a class, also those that it has from classes which are no estimators."""
    for place in kind.__mro__:
        for name in METHODS if place is not object else ():
            found = vars(place).get(name)
            if inspect.isfunction(found):
                if not hasattr(found, _MARK):
                    setattr(place, name, _wrapped(found, name))
                    _undo.append(functools.partial(_put_back, place, name, found))
            elif (
                found is not None
                and inspect.isfunction(inner := getattr(found, "fn", None))
                and not hasattr(inner, _MARK)
            ):
                # a method that is there only if an inner estimator has it
                found.fn = _wrapped(inner, name)
                _undo.append(functools.partial(setattr, found, "fn", inner))


def _put_back(kind: type, name: str, original: Any) -> None:
    # somebody else may have patched it since: theirs stays
    if hasattr(vars(kind).get(name), _MARK):
        setattr(kind, name, original)


def _wrapped(original: Callable[..., Any], method: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return observed(original, method, self, args, kwargs)

    setattr(wrapper, _MARK, True)
    return wrapper


def _watch_new_classes(base: Any) -> None:
    @classmethod  # type: ignore[misc]  # it becomes a method of ``base``
    def __init_subclass__(cls: type, **options: Any) -> None:
        super(base, cls).__init_subclass__(**options)
        with _guard:
            if _watcher is not None:
                _watch_class(cls)

    base.__init_subclass__ = __init_subclass__
    _undo.append(lambda: delattr(base, "__init_subclass__"))


def _watch_cross_validation() -> None:
    """Replace functions by watched ones, also where notebooks have imported them already."""
    from sklearn import model_selection
    from sklearn.model_selection import _validation

    for name in CROSS_VALIDATIONS:
        original = getattr(model_selection, name)
        watched = _watched(original, name)
        _replace(original, watched, name)
        setattr(_validation, name, watched)
        _undo.append(functools.partial(_replace, watched, original, name))


def _watched(original: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        watcher = _watcher
        if watcher is None or _state.depth or _is_inner(sys._getframe(1)):
            return original(*args, **kwargs)
        with _inside():
            result = original(*args, **kwargs)
            with _kept_from_user(watcher):
                watcher.cross_validated(name, _bound(original, None, args, kwargs), result)
        return result

    return function


def _replace(old: Any, new: Any, name: str) -> None:
    for module in list(sys.modules.values()):
        try:
            held = vars(module)
        except TypeError:
            continue
        if held.get(name) is old:
            held[name] = new


def _watch_metrics() -> None:
    """Watch the check of arguments that every metric of scikit-learn begins with."""
    from sklearn.utils import _param_validation

    original = getattr(_param_validation, "validate_parameter_constraints", None)
    if original is None:
        return

    @functools.wraps(original)
    def check(constraints: Any, params: Any, caller_name: str, *more: Any, **options: Any) -> Any:
        answer = original(constraints, params, caller_name, *more, **options)
        watcher, frame = _watcher, sys._getframe(1).f_back
        if watcher is not None and frame is not None and not _state.depth and not _is_inner(frame):
            with _inside(), _kept_from_user(watcher):
                watcher.measured(caller_name, params, frame)
        return answer

    _param_validation.validate_parameter_constraints = check
    _undo.append(lambda: setattr(_param_validation, "validate_parameter_constraints", original))


def _is_inner(frame: FrameType | None) -> bool:
    """Return whether scikit-learn or a worker thread of joblib is among the callers."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(_INNER):
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def _inside() -> Iterator[None]:
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1


@contextlib.contextmanager
def _kept_from_user(watcher: Watcher) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        with contextlib.suppress(Exception):
            watcher.failed(error)


def _bound(
    original: Callable[..., Any], estimator: Any, args: tuple[Any, ...], kwargs: Any
) -> dict[str, Any]:
    """Return the arguments by name, those without a name of their own too."""
    given = args if estimator is None else (estimator, *args)
    try:
        bound = inspect.signature(original).bind(*given, **kwargs)
    except TypeError:
        return dict(kwargs)
    named = dict(bound.arguments)
    return {**named.pop("kwargs", {}), **named.pop("params", {}), **named}
