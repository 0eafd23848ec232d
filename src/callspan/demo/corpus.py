"""The corpus: what pydoc knows of some modules of the standard library, as searchable passages."""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pydoc
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Lock
from typing import Any, Final, NamedTuple

from callspan.callbacks.threads import ContextThreadPoolExecutor

MODULES: Final = (
    "base64 bisect calendar collections contextlib copy csv dataclasses datetime decimal difflib "
    "enum fnmatch fractions functools glob gzip hashlib heapq html inspect itertools json "
    "logging math operator os.path pathlib pprint queue random re secrets shutil sqlite3 "
    "statistics string struct subprocess tempfile textwrap threading time types unittest "
    "urllib.parse uuid zipfile"
).split()

_WORD: Final = re.compile(r"[a-z0-9]+")
_COMMON: Final = frozenset(
    "a against an and are as at be by can do does for from how if in into is it its not of on "
    "or that the this to what when which with you".split()
)
_TERM_SATURATION: Final = 1.5  # BM25's k1 and b, at their usual values
_LENGTH_WEIGHT: Final = 0.75


class Passage(NamedTuple):
    """One documented thing."""

    name: str
    text: str


def words(text: str) -> list[str]:
    """Return the words of `text` that carry meaning, in lower case and without plural s."""
    found = (word for word in _WORD.findall(text.lower().replace("_", " ")) if len(word) > 1)
    return [word.rstrip("s") if len(word) > 3 else word for word in found if word not in _COMMON]


class Index:
    """Passages, ranked by how well they fit a query (Okapi BM25)."""

    def __init__(self, passages: list[Passage]) -> None:
        self._passages = passages
        # A name says more about a passage than any one word of its text.
        self._counts = [Counter(words(p.text) + 3 * words(p.name)) for p in passages]
        self._lengths = [sum(count.values()) for count in self._counts]
        self._mean = sum(self._lengths) / max(len(passages), 1)
        self._with_word = Counter(word for count in self._counts for word in count)

    def __len__(self) -> int:
        return len(self._passages)

    def search(self, query: str, limit: int = 4) -> list[tuple[Passage, float]]:
        """Return the passages that fit best, with scores; each shares a word with the query."""
        wanted = set(words(query))
        scored = ((self._score(wanted, place), place) for place in range(len(self._passages)))
        best = sorted((pair for pair in scored if pair[0] > 0), key=lambda p: (-p[0], p[1]))
        return [(self._passages[place], round(score, 3)) for score, place in best[:limit]]

    def _score(self, wanted: set[str], place: int) -> float:
        count = self._counts[place]
        long = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * self._lengths[place] / self._mean
        return sum(
            self._rarity(word)
            * count[word]
            * (_TERM_SATURATION + 1)
            / (count[word] + _TERM_SATURATION * long)
            for word in wanted
            if word in count
        )

    def _rarity(self, word: str) -> float:
        having = self._with_word[word]
        return math.log(1 + (len(self._passages) - having + 0.5) / (having + 0.5))


class IndexNotReadyError(Exception):
    """The index is being built: a later search finds it."""


class Library:
    """The documentation of the standard library's modules, indexed when it is first asked for."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._index: Future[Index] | None = None

    def search(self, query: str, limit: int) -> list[tuple[Passage, float]]:
        """As `Index.search`; waits for an index that is being built.

        Raises:
            IndexNotReadyError: This is the first search: the building has only begun.
        """
        with self._lock:
            if self._index is None:
                self._index = ContextThreadPoolExecutor(1).submit(standard_library)
                raise IndexNotReadyError("the index is being built: try again")
        return self._index.result().search(query, limit)


@functools.lru_cache(maxsize=1)
def standard_library() -> Index:
    """Return the index of the modules' documentation."""
    return Index([passage for name in MODULES for passage in _passages(name)])


def _passages(module_name: str) -> Iterator[Passage]:
    module = importlib.import_module(module_name)
    for name, member in inspect.getmembers(module):
        if pydoc.visiblename(name, getattr(module, "__all__", None)) and _is_documented(member):
            yield Passage(f"{module_name}.{name}", _text(member))
            if inspect.isclass(member):
                for method_name, method in vars(member).items():
                    if not method_name.startswith("_") and _is_documented(method):
                        yield Passage(f"{module_name}.{name}.{method_name}", _text(method))


def _is_documented(member: Any) -> bool:
    return (inspect.isroutine(member) or inspect.isclass(member)) and bool(_text(member))


def _text(member: Any) -> str:
    # pydoc.getdoc also looks for comments: slow, and on Python 3.11 not safe in a thread.
    return (inspect.getdoc(member) or "").strip()
