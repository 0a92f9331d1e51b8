"""Read the header of a GGUF file strictly and within bounds, before any engine sees it.

gguf-py 0.19 opens malformed files without complaint, and an engine parses them in native code.  Here every count,
length, offset and type is checked against the file's real size; nothing is allocated that the file does not hold.
Format: GGUF version 2 and 3, little-endian (ggml/docs/gguf.md).  Light: the standard library alone.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from app.errors import ModelFileError, Place
from app.registry.template_check import check_template

MOST_KEYS = 4096
MOST_TENSORS = 65_536
MOST_STRING = 16 * 2**20
MOST_ELEMENTS = 8_000_000
"""Elements of all arrays together; the largest vocabularies have 0.3 M tokens and 0.6 M merges."""
MOST_NAME = 65_535
MOST_HEADER = 256 * 2**20

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY, _BOOL = 8, 9, 7
# type → (numbers in a block, bytes of a block): ggml.c, type_traits.  Types that llama.cpp removed are not in it.
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98),
    19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}
_BYTE_LIKE = re.compile(rb"<0x.{0,16}>", re.DOTALL)
_BYTE_TOKEN = re.compile(rb"<0x[0-9A-Fa-f]{2}>")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: shape innermost first, type number, offset from the start of the data, size in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int
    size: int

    @property
    def numbers(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What a checked file says of itself.  metadata leaves out arrays; data_start: byte at which the weights begin."""

    path: Path
    size: int
    architecture: str
    name: str
    parameters: int
    context: int
    vocabulary: int
    template: str
    template_hash: str | None
    file_type: int | None
    data_start: int
    metadata: dict[str, Any] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()


def check_gguf(file: str | Path, *, render: bool = True) -> GgufFile:
    """Check a GGUF file and describe it; at most some seconds and a few times the header's size in memory.

    render: also render its chat template in a sandbox (a child process, ≤ 5 s).  Raises ModelFileError that names the
    file and, as the field, the key or tensor with the byte offset at which reading stopped.
    """
    path = Path(file)
    if path.is_symlink():
        raise _error(path, "model.link", "The model file is a link; it was not opened.", "A link can lead to any file.",
                     "Name the file itself.")
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise _error(path, "model.missing_file", "The model file cannot be read.", "It is not a plain file.", "Check the path.")
    try:
        with path.open("rb") as stream:
            found = _Reader(path, stream).read()
    except OSError as problem:
        raise _error(path, "model.missing_file", "The model file cannot be read.", f"{problem.strerror or problem}.",
                     "Check the path.") from problem
    if found.template:
        check_template(found.template, path, "tokenizer.chat_template", render=render)
    return found


class _Reader:
    """One pass over the header.  ``at`` is the offset of what is being read; ``what`` names it for messages."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.path, self.stream = path, stream
        self.size = os.fstat(stream.fileno()).st_size
        self.at, self.what, self.elements = 0, "header", 0
        self.metadata: dict[str, Any] = {}
        self.arrays: dict[str, tuple[int, list[Any]]] = {}

    # -- plain parts --------------------------------------------------------------------------------------------------
    def fail(self, why: str, *, code: str = "model.damaged") -> ModelFileError:
        return ModelFileError(code, "The GGUF file is damaged or was made to harm; it was not loaded.",
                              where=Place.of(self.path, field=f"{self.what}, byte {self.at}"), why=why,
                              remedy="Fetch the file again from where it came from.")

    def take(self, count: int) -> bytes:
        if count > self.size - self.at:
            raise self.fail(f"It ends too early: {count:,} bytes are announced, {self.size - self.at:,} are left.")
        data = self.stream.read(count)
        if len(data) != count:
            raise self.fail("It ends too early.")
        self.at += count
        if self.at > MOST_HEADER:
            raise self.fail(f"Its header is larger than {MOST_HEADER // 2**20} MiB.")
        return data

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def count(self, limit: int, what: str) -> int:
        found: int = self.number("<Q")
        if found > limit:
            raise self.fail(f"It announces {found:,} {what}; at most {limit:,} are accepted.")
        return found

    def raw_string(self, limit: int = MOST_STRING) -> bytes:
        return self.take(self.count(min(limit, self.size), "bytes of text"))

    def text(self, limit: int = MOST_STRING) -> str:
        try:
            return self.raw_string(limit).decode("utf-8")
        except UnicodeDecodeError as problem:
            raise self.fail("A text in it is not UTF-8.") from problem

    # -- the whole ----------------------------------------------------------------------------------------------------
    def read(self) -> GgufFile:
        if self.size == 0:
            raise self.fail("The file is empty.")
        if self.take(min(4, self.size)) != b"GGUF":
            raise self.fail("It does not begin with the letters GGUF.", code="model.not_gguf")
        self.what = "version"
        version = self.number("<I")
        if version not in (2, 3):
            raise self.fail(f"It has version {version}; versions 2 and 3 are known.", code="model.version")
        self.what = "n_tensors"
        tensors = self.count(MOST_TENSORS, "tensors")
        self.what = "n_kv"
        keys = self.count(MOST_KEYS, "keys")
        for _ in range(keys):
            self.pair()
        self.check_keys()
        listed = [self.tensor() for _ in range(tensors)]
        return self.describe(self.check_data(listed))

    def pair(self) -> None:
        self.what = "key"
        key = self.text(MOST_NAME)
        self.what = key[:80]
        if not key or key in self.metadata or key in self.arrays:
            raise self.fail("A key is empty." if not key else "The key appears twice.")
        kind = self.number("<I")
        if kind == _ARRAY:
            self.arrays[key] = self.array()
        else:
            self.metadata[key] = self.value(kind)

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind not in _SCALARS:
            raise self.fail(f"Its type is {kind}, which does not exist.")
        found = self.number(_SCALARS[kind])
        if kind == _BOOL and found > 1:
            raise self.fail(f"A truth value is {found}.")
        return bool(found) if kind == _BOOL else found

    def array(self) -> tuple[int, list[Any]]:
        kind = self.number("<I")
        length = self.count(MOST_ELEMENTS, "elements")
        self.elements += length
        if self.elements > MOST_ELEMENTS:
            raise self.fail(f"Its arrays hold more than {MOST_ELEMENTS:,} elements.")
        if kind == _STRING:
            if length * 8 > self.size - self.at:
                raise self.fail(f"It announces {length:,} texts, which the file cannot hold.")
            return kind, [self.raw_string() for _ in range(length)]
        if kind not in _SCALARS:
            raise self.fail(f"The elements' type is {kind}, which does not exist or is an array again.")
        form = _SCALARS[kind]
        data = self.take(length * struct.calcsize(form))
        return kind, list(struct.unpack(f"<{length}{form[1]}", data))

    # -- meaning ------------------------------------------------------------------------------------------------------
    def check_keys(self) -> None:
        self.what = "general.architecture"
        architecture = self.metadata.get("general.architecture")
        if not isinstance(architecture, str) or not _ARCHITECTURE.fullmatch(architecture):
            raise self.fail("It does not say which architecture it is.")
        self.what = "general.alignment"
        alignment = self.metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 8 or alignment > 65_536 or alignment & (alignment - 1):
            raise self.fail(f"The alignment is {alignment!r}; a power of two from 8 to 65,536 is needed.")
        for name in ("split.count",):
            self.what = name
            if self.metadata.get(name, 0) not in (0, 1):
                raise self.fail("It is one part of several.", code="model.split")
        self.check_vocabulary()

    def check_vocabulary(self) -> None:
        self.what = "tokenizer.ggml.tokens"
        kind, tokens = self.arrays.get("tokenizer.ggml.tokens", (_STRING, []))
        if kind != _STRING or not tokens:
            raise self.fail("It holds no vocabulary.")
        for number, token in enumerate(tokens):
            if _BYTE_LIKE.fullmatch(token) and not _BYTE_TOKEN.fullmatch(token):
                raise self.fail(f"Token {number} is the malformed byte token {token!r}.")
        for name, wanted in (("token_type", (4, 5)), ("scores", (6,))):
            self.what = f"tokenizer.ggml.{name}"
            kind, values = self.arrays.get(self.what, (wanted[0], []))
            if values and (len(values) != len(tokens) or kind not in wanted):
                raise self.fail(f"It has {len(values):,} entries of type {kind} for {len(tokens):,} tokens.")
        self.check_token_types(tokens)
        self.check_token_ids(len(tokens))

    def check_token_types(self, tokens: list[bytes]) -> None:
        self.what = "tokenizer.ggml.token_type"
        for number, kind in enumerate(self.arrays.get(self.what, (0, []))[1]):
            if not 0 <= kind <= 6:
                raise self.fail(f"Token {number} has type {kind}, which does not exist.")
            if kind == 6 and not _BYTE_TOKEN.fullmatch(tokens[number]):
                raise self.fail(f"Token {number} counts as a byte and is {tokens[number][:40]!r}.")

    def check_token_ids(self, count: int) -> None:
        for key, value in self.metadata.items():
            if key.startswith("tokenizer.ggml.") and key.endswith("_token_id"):
                self.what = key
                if not isinstance(value, int) or isinstance(value, bool) or not (0 <= value < count or value == 0xFFFFFFFF):
                    raise self.fail(f"It names token {value!r}; there are {count:,}.")

    # -- tensors ------------------------------------------------------------------------------------------------------
    def tensor(self) -> Tensor:
        self.what = "tensor"
        name = self.text(MOST_NAME)
        self.what = f"tensor {name[:80]!r}"
        if not name or len(name.encode()) >= 64:
            raise self.fail("A tensor's name has no or more than 63 bytes.")
        sides = self.number("<I")
        if not 1 <= sides <= 4:
            raise self.fail(f"It has {sides} dimensions; 1 to 4 are possible.")
        shape = tuple(self.number("<Q") for _ in range(sides))
        kind = self.number("<I")
        size = self.tensor_size(shape, kind)
        return Tensor(name, shape, kind, self.number("<Q"), size)

    def tensor_size(self, shape: tuple[int, ...], kind: int) -> int:
        if 0 in shape:
            raise self.fail("A dimension is 0.")
        count = 1
        for side in shape:
            count *= side
            if side >= 2**63 or count >= 2**63:
                raise self.fail("Its dimensions multiply to more than 2^63 numbers.")
        if kind not in BLOCKS:
            raise self.fail(f"Its number type is {kind if kind < 2**31 else kind - 2**32}, which does not exist.")
        block, bytes_ = BLOCKS[kind]
        if shape[0] % block:
            raise self.fail(f"Its rows of {shape[0]:,} numbers are not a multiple of the type's block of {block}.")
        size = count // block * bytes_
        if size > self.size:
            raise self.fail(f"It takes {size:,} bytes; the whole file has {self.size:,}.")
        return size

    def check_data(self, listed: list[Tensor]) -> tuple[list[Tensor], int]:
        """Tensors must follow one another, each aligned, and end with the file: no gap, no overlap, nothing behind."""
        alignment = int(self.metadata.get("general.alignment", 32))
        self.what = "tensors"
        if not listed:
            raise self.fail("It holds no weights.")
        if len({tensor.name for tensor in listed}) != len(listed):
            raise self.fail("Two tensors have the same name.")
        start, end = _pad(self.at, alignment), 0
        for tensor in listed:
            self.what = f"tensor {tensor.name[:80]!r}"
            if tensor.offset != end:
                raise self.fail(f"Its data begins at {tensor.offset:,}; {end:,} is where the tensor before it ends.")
            if start + tensor.offset + tensor.size > self.size:
                raise self.fail(f"Its data ends at byte {start + tensor.offset + tensor.size:,}; the file has {self.size:,}.")
            end = _pad(tensor.offset + tensor.size, alignment)
        self.what = "end of file"
        if self.size > start + end:
            raise self.fail(f"{self.size - start - end:,} bytes follow the last tensor.")
        return listed, start

    def describe(self, data: tuple[list[Tensor], int]) -> GgufFile:
        tensors, start = data
        architecture = str(self.metadata["general.architecture"])
        vocabulary = len(self.arrays["tokenizer.ggml.tokens"][1])
        self.check_embedding(tensors, vocabulary)
        template = self.metadata.get("tokenizer.chat_template", "")
        self.what = "tokenizer.chat_template"
        if not isinstance(template, str):
            raise self.fail("The chat template is not a text.")
        context = self.metadata.get(f"{architecture}.context_length", 0)
        file_type = self.metadata.get("general.file_type")
        return GgufFile(
            path=self.path, size=self.size, architecture=architecture,
            name=str(self.metadata.get("general.name") or self.path.stem)[:200],
            parameters=sum(tensor.numbers for tensor in tensors), context=context if isinstance(context, int) else 0,
            vocabulary=vocabulary, template=template,
            template_hash=hashlib.sha256(template.encode()).hexdigest() if template else None,
            file_type=file_type if isinstance(file_type, int) else None, data_start=start, metadata=self.metadata,
            tensors=tuple(tensors))

    def check_embedding(self, tensors: list[Tensor], vocabulary: int) -> None:
        for tensor in tensors:
            if tensor.name == "token_embd.weight":
                self.what = f"tensor {tensor.name!r}"
                if len(tensor.shape) != 2 or tensor.shape[1] != vocabulary:
                    raise self.fail(f"It holds {tensor.shape[-1]:,} tokens; the vocabulary has {vocabulary:,}.")


def _pad(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def _error(path: Path, code: str, what: str, why: str, remedy: str) -> ModelFileError:
    return ModelFileError(code, what, where=Place.of(path), why=why, remedy=remedy)
