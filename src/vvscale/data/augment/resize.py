"""Cut boxes out of the flat buffer and resize them, a whole batch at a time.

Two ways to one result, within one grey level: on a CPU each box is a strided view that the library resizes; on a GPU
all boxes are gathered at once. Results are rounded to bytes, as every image library's are.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vvscale.data.augment.crops import Boxes

# Pixels gathered at once on a GPU: bounds the memory for positions and neighbours to about 2 GB.
_PIXELS_AT_ONCE = 1 << 24


def cut(buffer: Tensor, offsets: Tensor, sizes: Tensor, boxes: Boxes, size: int, *, antialias: bool = False) -> Tensor:
    """Return (B, 3, size, size) uint8 on the device of ``buffer``.

    Parameters
    ----------
    buffer
        (n_bytes,) uint8, images of rows of RGB pixels.
    offsets, sizes
        (B,) int64 first byte, and (B, 2) int64 height and width, of each image of the batch; on the CPU.
    boxes
        What to show of each image.
    size
        Side of the result.
    antialias
        Whether to average over all pixels that fall on one when shrinking, not only over the four nearest.
    """
    if buffer.is_cuda and not antialias:
        at_once = max(1, _PIXELS_AT_ONCE // size**2)
        parts = [
            gather(buffer, offsets[rows], sizes[rows], boxes.take(rows), size)
            for rows in torch.arange(len(offsets)).split(at_once)
        ]
        return torch.cat(parts) if len(parts) > 1 else parts[0]
    return _cut_one_by_one(buffer, offsets, sizes, boxes, size, antialias)


def _cut_one_by_one(buffer: Tensor, offsets: Tensor, sizes: Tensor, boxes: Boxes, size: int, antialias: bool) -> Tensor:
    images = torch.empty((len(offsets), 3, size, size), dtype=torch.uint8, device=buffer.device)
    rows = zip(
        offsets.tolist(),
        sizes.tolist(),
        boxes.box.tolist(),
        boxes.stretched.tolist(),
        boxes.window.tolist(),
        boxes.flip.tolist(),
        strict=True,
    )
    for image, (offset, (_, width), (top, left, h, w), stretched, (y, x), flip) in zip(images, rows, strict=True):
        start = offset + 3 * (top * width + left)
        # Channels last, as the bytes lie; no copy.
        box = buffer.as_strided((1, 3, h, w), (3 * h * width, 1, 3 * width, 3), start)
        if stretched != [h, w]:
            box = _resize(box, stretched, antialias)
        window = box[0, :, y : y + size, x : x + size]
        image.copy_(window.flip(-1) if flip else window)
    return images


def _resize(box: Tensor, stretched: list[int], antialias: bool) -> Tensor:
    if box.is_cuda:
        # Bytes are resized on the CPU only.
        resized = functional.interpolate(box.float(), size=stretched, mode="bilinear", antialias=antialias)
        return resized.round_().clamp_(0, 255).to(torch.uint8)
    return functional.interpolate(box, size=stretched, mode="bilinear", antialias=antialias)


def gather(buffer: Tensor, offsets: Tensor, sizes: Tensor, boxes: Boxes, size: int) -> Tensor:
    """Cut without a loop: as :func:`cut` without antialias, in channels-last memory."""
    device = buffer.device
    pixels = buffer[: buffer.numel() // 3 * 3].view(-1, 3)
    boxes = boxes.to(device)
    y, y_next, y_share = _neighbours(boxes, 0, size)
    x, x_next, x_share = _neighbours(boxes, 1, size)
    flip = boxes.flip[:, None]
    x, x_next, x_share = (torch.where(flip, values.flip(1), values) for values in (x, x_next, x_share))
    first, width = (offsets // 3).to(device)[:, None], sizes.to(device)[:, 1:]
    # Row starts and columns are small; only their sums are as many as pixels.
    tops, bottoms = ((first + rows * width)[:, :, None] for rows in (y, y_next))
    lefts, rights = (columns[:, None, :] for columns in (x, x_next))
    down, across = y_share.to(torch.float32)[:, :, None, None], x_share.to(torch.float32)[:, None, :, None]

    def at(rows: Tensor, columns: Tensor) -> Tensor:
        return pixels[rows + columns].to(torch.float32)

    top = torch.lerp(at(tops, lefts), at(tops, rights), across)
    bottom = torch.lerp(at(bottoms, lefts), at(bottoms, rights), across)
    return torch.lerp(top, bottom, down).round_().to(torch.uint8).permute(0, 3, 1, 2)


def _neighbours(boxes: Boxes, axis: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (B, size): the pixel before and after each sample along one axis, and the share of the latter."""
    start, length = boxes.box[:, axis, None], boxes.box[:, axis + 2, None]
    step = length / boxes.stretched[:, axis, None].to(torch.float64)
    at = (boxes.window[:, axis, None] + torch.arange(size, device=boxes.box.device) + 0.5) * step - 0.5
    at = at.clamp(min=0)
    before = torch.minimum(at.floor().to(torch.int64), length - 1)
    after = torch.minimum(before + 1, length - 1)
    return start + before, start + after, at - before
