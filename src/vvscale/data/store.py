"""Images as one flat array of bytes, whatever their sizes, with an index of where each one lies.

A store is decoded once (``vvscale prepare``) and then only read: from memory, or mapped from the disk. Nothing here
loads torch, augments or shuffles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vvscale.errors import DataError, DigestError, ShapeError

FORMAT = "vvscale-images-1"


@dataclass(frozen=True, eq=False)
class ImageStore:
    """Labelled RGB images, one after another in one buffer.

    Attributes
    ----------
    buffer
        (n_bytes,) uint8; image i is ``offsets[i] : offsets[i] + 3 * h * w``, rows of pixels of R, G, B. An array in
        memory or a memory map.
    offsets
        (n_images,) int64, in bytes, multiples of 3.
    sizes
        (n_images, 2) int64: height and width, in pixels.
    labels
        (n_images,) int64 in 0..n_classes-1.
    class_names
        One per class.
    name
        What messages call the store.
    digest
        sha256 over sizes, labels, class names and pixels: equal for equal images, however they are laid out.
        Computed on first use where it is not given.
    pixel_digests
        (n_images, 32) uint8, sha256 of each image's pixels, of stores on a disk: ``check_pixels`` compares with them.
    """

    buffer: np.ndarray = field(repr=False)
    offsets: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)
    class_names: tuple[str, ...] = field(repr=False)
    name: str = "images"
    known_digest: str | None = field(default=None, repr=False)
    pixel_digests: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.offsets.shape != (n,) or self.sizes.shape != (n, 2) or self.buffer.dtype != np.uint8:
            raise ShapeError(
                f"The store '{self.name}' has {n} labels, offsets {self.offsets.shape}, sizes {self.sizes.shape} and "
                f"a buffer of {self.buffer.dtype}; expected one offset and one (height, width) per label, and uint8."
            )
        if (self.offsets % 3).any() or (self.offsets < 0).any():
            raise ShapeError(f"The store '{self.name}' has offsets that are not multiples of 3; pixels have 3 bytes.")
        check_labels(self.labels, len(self.class_names), f"The store '{self.name}'")
        if n and (self.offsets + self.n_bytes).max() > self.buffer.size:
            raise ShapeError(
                f"The buffer of store '{self.name}' holds {self.buffer.size:,} bytes, but its index reaches byte "
                f"{(self.offsets + self.n_bytes).max():,}. It was probably cut short; make the store again."
            )

    @classmethod
    def from_arrays(
        cls,
        images: Sequence[np.ndarray] | np.ndarray,
        labels: Sequence[int] | np.ndarray,
        *,
        class_names: Sequence[str] | None = None,
        name: str = "images",
    ) -> ImageStore:
        """Make a store in memory.

        Parameters
        ----------
        images
            n_images arrays (h, w, 3) of uint8; sizes may differ.
        labels
            (n_images,) integers in 0..n_classes-1.
        class_names
            By default the numbers of the labels.
        name
            What messages call the store.

        Raises
        ------
        ShapeError, DataError
            An image is not (h, w, 3) of uint8, or a label is out of range.
        """
        for position, image in enumerate(images):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ShapeError(
                    f"Image {position} of '{name}' is {image.dtype} of shape {image.shape}; expected uint8 "
                    "(h, w, 3). Repeat a grey channel three times; scale floats to 0..255."
                )
        labels = np.asarray(labels, dtype=np.int64)
        names = [str(k) for k in range(labels.max(initial=-1) + 1)] if class_names is None else class_names
        sizes = np.array([image.shape[:2] for image in images], dtype=np.int64).reshape(-1, 2)
        ends = np.cumsum(3 * sizes.prod(1))
        offsets = np.concatenate([np.zeros(1, np.int64), ends[:-1]])[: len(sizes)]
        flat = [np.ravel(image) for image in images]
        buffer = np.concatenate(flat) if flat else np.zeros(0, np.uint8)
        return cls(buffer, offsets, sizes, labels, tuple(names), name)

    @property
    def n_images(self) -> int:
        """How many images."""
        return len(self.labels)

    @property
    def n_classes(self) -> int:
        """How many classes, those without an image included."""
        return len(self.class_names)

    @cached_property
    def n_bytes(self) -> np.ndarray:
        """(n_images,) int64, bytes of each image."""
        return 3 * self.sizes.prod(1)

    def image(self, position: int) -> np.ndarray:
        """Return one image, (h, w, 3) uint8, a view of the buffer."""
        start, (height, width) = self.offsets[position], self.sizes[position]
        return self.buffer[start : start + 3 * height * width].reshape(height, width, 3)

    @cached_property
    def _is_checked(self) -> np.ndarray:
        return np.zeros(self.n_images, dtype=bool)

    def check_pixels(self, positions: np.ndarray, pixels: np.ndarray, *, n_threads: int = 1) -> None:
        """Compare images that were read from the disk with their digests, each once in the life of this store.

        Parameters
        ----------
        positions
            (n,) of the images.
        pixels
            (n_bytes,) uint8, these images one after another.
        n_threads
            Hashing large images lets threads work side by side.

        Raises
        ------
        DigestError
            The pixels of an image are not those that were written.
        """
        if self.pixel_digests is None or self._is_checked[positions].all():
            return
        ends = np.cumsum(self.n_bytes[positions]).tolist()
        view = np.ascontiguousarray(pixels).data
        parts = (view[start:end] for start, end in zip([0, *ends], ends, strict=False))
        if n_threads > 1:
            with ThreadPoolExecutor(n_threads) as pool:
                found = list(pool.map(_sha256, parts))
        else:
            found = [_sha256(part) for part in parts]
        same = (np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32) == self.pixel_digests[positions]).all(1)
        if not same.all():
            wrong = positions[~same]
            raise DigestError(
                f"{len(wrong)} of {len(positions)} images of '{self.name}' are not those that were prepared, the first "
                f"at position {wrong[0]}. Likely cause: the disk or a copy damaged the file of pixels. Copy the "
                "prepared folder again, or prepare it again with `replace`."
            )
        self._is_checked[positions] = True

    @cached_property
    def digest(self) -> str:
        """sha256 in hex of what the store holds."""
        if self.known_digest is not None:
            return self.known_digest
        pixels = (hashlib.sha256(self.image(i).data).digest() for i in range(self.n_images))
        return content_digest(self.class_names, self.sizes, self.labels, b"".join(pixels))

    def __len__(self) -> int:
        return self.n_images


def _sha256(pixels: memoryview) -> bytes:
    return hashlib.sha256(pixels).digest()


def content_digest(class_names: Sequence[str], sizes: np.ndarray, labels: np.ndarray, pixels: bytes) -> str:
    """Return the digest of a store from the joined 32-byte sha256 of each image's pixels, in order."""
    digest = hashlib.sha256(FORMAT.encode())
    for name in class_names:
        digest.update(b"\0" + name.encode())
    for column in (sizes, labels):
        digest.update(b"\1" + np.ascontiguousarray(column, dtype="<i8").tobytes())
    digest.update(b"\2" + pixels)
    return digest.hexdigest()


def check_labels(labels: np.ndarray, n_classes: int, what: str) -> None:
    """Refuse labels that name no class."""
    wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(wrong):
        raise DataError(
            f"{what} has the label {labels[wrong[0]]} at position {wrong[0]} ({len(wrong)} such labels in all); "
            f"expected 0..{n_classes - 1} for its {n_classes} classes. Labels that begin at 1 need 1 subtracted."
        )
