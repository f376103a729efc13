"""Legal names from any text: fields, vector fields and namespaces share one injective rename."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator
from itertools import product

_SHAPES: tuple[tuple[str, str], ...] = (("[^A-Za-z0-9_.-]", "_"), ("[^A-Za-z0-9_]", "_"), ("[^A-Za-z0-9]", ""))
_LENGTHS = (200, 40, 20, 0)


def _candidates(wanted: str, key: str) -> Iterator[str]:
    """Readable forms first. Each ends with a hash of `key`, so different keys give different names."""
    digest = hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=20).hexdigest()
    for size, length in product((8, 16, 40), _LENGTHS):
        for (pattern, filler), prefix in product(_SHAPES, ("", "f", "F")):
            stem = prefix + re.sub(pattern, filler, wanted)[:length]
            yield f"{stem}{'_' if filler and stem else ''}{digest[:size]}"


def legal_name(wanted: str, key: str, is_legal: Callable[[str], bool], taken: Collection[str] = ()) -> str | None:
    """A legal name that is not `taken`, made from `wanted` and unique for `key`; None when no form is legal."""
    for candidate in _candidates(wanted, key):
        if candidate not in taken and is_legal(candidate):
            return candidate
    return None


def matcher(pattern: str, reserved: Collection[str] = ()) -> Callable[[str], bool]:
    """The test "fullmatch of `pattern` and not reserved"."""
    match = re.compile(pattern).fullmatch
    return lambda name: name not in reserved and match(name) is not None


def has_surrogates(text: str) -> bool:
    """Whether the text holds a lone surrogate, which UTF-8 cannot carry."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
