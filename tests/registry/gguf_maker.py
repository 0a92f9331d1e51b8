"""Write small GGUF files byte by byte, right or wrong in one place.  No engine needs to load them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STRING, ARRAY, UINT32, INT32, FLOAT32 = 8, 9, 4, 5, 6
TOKENS = [b"<unk>", b"<s>", b"</s>", b"<0x0A>", b"hello"]


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def key(name: str, kind: int, data: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + data


def strings(name: str, values: list[bytes]) -> bytes:
    return key(name, ARRAY, struct.pack("<IQ", STRING, len(values)) + b"".join(text(value) for value in values))


def integers(name: str, values: list[int]) -> bytes:
    return key(name, ARRAY, struct.pack(f"<IQ{len(values)}i", INT32, len(values), *values))


def tensor(name: str = "token_embd.weight", shape: tuple[int, ...] = (8, 5), kind: int = 0, offset: int = 0) -> bytes:
    sides = b"".join(struct.pack("<Q", side) for side in shape)
    return text(name) + struct.pack("<I", len(shape)) + sides + struct.pack("<IQ", kind & 0xFFFFFFFF, offset)


@dataclass
class Gguf:
    """The parts of a file; ``build`` puts them together.  ``extra`` holds further keys."""

    magic: bytes = b"GGUF"
    version: int = 3
    n_tensors: int | None = None
    n_kv: int | None = None
    tokens: list[bytes] = field(default_factory=lambda: list(TOKENS))
    tensors: list[bytes] = field(default_factory=lambda: [tensor()])
    extra: list[bytes] = field(default_factory=list)
    template: str | None = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    alignment: int = 32
    data: bytes = b"\x00" * 160
    tail: bytes = b""

    def keys(self) -> list[bytes]:
        found = [key("general.architecture", STRING, text("llama")), strings("tokenizer.ggml.tokens", self.tokens),
                 key("llama.context_length", UINT32, struct.pack("<I", 128)), *self.extra]
        if self.template is not None:
            found.append(key("tokenizer.chat_template", STRING, text(self.template)))
        return found

    def build(self) -> bytes:
        keys = self.keys()
        counts = (len(self.tensors) if self.n_tensors is None else self.n_tensors, len(keys) if self.n_kv is None else self.n_kv)
        head = self.magic + struct.pack("<IQQ", self.version, *counts) + b"".join(keys) + b"".join(self.tensors)
        return head + b"\x00" * (-len(head) % self.alignment) + self.data + self.tail

    def write(self, path: Path) -> Path:
        path.write_bytes(self.build())
        return path


def changed(**parts: Any) -> bytes:
    """A sound file with some parts replaced."""
    return Gguf(**parts).build()
