"""`Image`: a picture made from an array, a tensor, a PIL image, a matplotlib figure or a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runstream.data.histogram import to_numpy
from runstream.data.loggable import Content, Media
from runstream.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from PIL.Image import Image as Picture

_FILE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_MAX_SIDE = 1 << 15


class Image(Media):
    """A picture for `log()`.

    `data_or_path`: an array of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), where H and W are pixels; a torch
    tensor of shape (C, H, W) or (H, W); a PIL image; a matplotlib figure; or the path of a PNG, JPEG, GIF or WebP file.
    Floats in [0, 1] become 0 to 255; floats in [-1, 1] do so too, after a shift. Other floats, and integers beyond 0 to
    255, are stretched from their range, which the metadata records, when `normalize` is set; else they are clipped.
    `mode`: a PIL mode, such as "L" or "RGB"; `file_type`: png or jpg. `boxes`: {name: {"box_data": [{"position": {...},
    "class_id": int, ...}], "class_labels": {id: label}}}. `masks`: {name: {"mask_data": array of shape (H, W) of class
    ids, "class_labels": {id: label}}}.
    """

    def __init__(
        self,
        data_or_path: object,
        mode: str | None = None,
        caption: object = None,
        grouping: int | None = None,
        classes: object = None,
        boxes: Mapping[str, object] | None = None,
        masks: Mapping[str, object] | None = None,
        file_type: str | None = None,
        normalize: bool = True,
    ) -> None:
        super().__init__(caption)
        self._take(data_or_path, mode, classes, boxes, masks, file_type or "png", normalize)

    def _read(
        self,
        source: object,
        mode: str | None,
        classes: object,
        boxes: Mapping[str, object] | None,
        masks: Mapping[str, object] | None,
        file_type: str,
        normalize: bool,
    ) -> None:
        if isinstance(source, (str, Path)):
            self._read_file(Path(source))
        else:
            picture = to_picture(source, mode, normalize, self.metadata)
            self.metadata |= {"width": picture.width, "height": picture.height}
            self.contents.append(_encoded(picture, file_type))
        if classes is not None:
            self.metadata["classes"] = getattr(classes, "_class_set", classes)
        if boxes:
            self.metadata["boxes"] = {name: _boxes(name, value) for name, value in boxes.items()}
        for name, value in (masks or {}).items():
            self._add_mask(name, value)

    def _read_file(self, path: Path) -> None:
        media_type = _FILE_TYPES.get(path.suffix.lower())
        if media_type is None:
            raise UsageError(f"the image file {path} is none of {', '.join(_FILE_TYPES)}")
        self.contents.append(Content.of_file(path, media_type))

    def _add_mask(self, name: str, value: object) -> None:
        if not isinstance(value, dict) or not ("mask_data" in value or "path" in value):
            raise UsageError(f"the mask {name!r} is a dict with 'mask_data', an array of class ids, or 'path'")
        if "mask_data" in value:
            array = to_numpy(value["mask_data"])
            size = (self.metadata.get("width"), self.metadata.get("height"))
            if array.ndim != 2 or (size[0] and (array.shape[1], array.shape[0]) != size):
                raise UsageError(
                    f"the mask {name!r} has the shape {array.shape}: (height, width) of its image is meant"
                )
            if array.min() < 0 or array.max() > 255:
                raise UsageError(f"the mask {name!r} holds class ids beyond 0 to 255")
            content = _encoded(_pillow().fromarray(array.astype("uint8")), "png")
        else:
            content = Content.of_file(Path(value["path"]), "image/png")
        self.contents.append(content)
        labels = {str(number): str(label) for number, label in (value.get("class_labels") or {}).items()}
        self.metadata.setdefault("masks", {})[name] = {"sha256": content.sha256, "class_labels": labels}


def to_picture(
    source: object, mode: str | None = None, normalize: bool = True, metadata: dict[str, object] | None = None
) -> Picture:
    """Return a PIL image of the source. Raises UsageError.

    `metadata` gets the range of the values when they are stretched.
    """
    pillow = _pillow()
    if isinstance(source, pillow.Image) and source.mode in ("I", "F"):
        source = to_numpy(source)  # a pixel has 32 bits here, and PIL would clip it
    if isinstance(source, pillow.Image):
        return source.convert(mode) if mode else source
    if is_figure(source):
        return _figure_picture(source)
    is_tensor = hasattr(source, "detach")
    array = to_numpy(source)
    if is_tensor and array.ndim == 3:
        array = array.transpose(1, 2, 0)  # (C, H, W), as torch keeps images
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or not array.size:
        raise UsageError(
            f"an image of the shape {tuple(array.shape)}: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is meant"
            + (", for a tensor (C, H, W)" if is_tensor else "")
        )
    if max(array.shape[:2]) > _MAX_SIDE:
        raise UsageError(f"an image of the shape {tuple(array.shape)}: at most {_MAX_SIDE} pixels a side")
    picture = pillow.fromarray(_to_bytes(array, normalize, {} if metadata is None else metadata))
    return picture.convert(mode) if mode else picture


def _to_bytes(array: npt.NDArray[Any], normalize: bool, metadata: dict[str, object]) -> npt.NDArray[Any]:
    import numpy as np

    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if not np.issubdtype(array.dtype, np.number) or np.issubdtype(array.dtype, np.complexfloating):
        raise UsageError(f"an image of {array.dtype} values")
    data = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=np.inf, neginf=-np.inf)
    finite = data[np.isfinite(data)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    data = np.clip(data, low, high)
    floats = np.issubdtype(array.dtype, np.floating)
    if floats and normalize and low >= 0 and high <= 1:
        data = data * 255
    elif floats and normalize and low >= -1 and high <= 1:
        data = (data + 1) * 127.5
    elif normalize and not (low >= 0 and high <= 255):
        data = (data / 2 - low / 2) / (high / 2 - low / 2 or 1.0) * 255  # halves: no difference overflows
        metadata["value_range"] = [low, high]
    return np.clip(data, 0, 255).round().astype(np.uint8)


def is_figure(value: object) -> bool:
    """Return True for a matplotlib figure, or for an object (pyplot, axes) that has one. Imports nothing."""
    return type(value).__module__.startswith("matplotlib.") and hasattr(value, "savefig")


def is_picture(value: object) -> bool:
    """Return True for a PIL image. Imports nothing."""
    return any(base.__module__ == "PIL.Image" and base.__name__ == "Image" for base in type(value).__mro__)


def _figure_picture(figure: Any) -> Picture:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return _pillow().open(buffer)


def _encoded(picture: Picture, file_type: str) -> Content:
    suffix = "." + file_type.lower().lstrip(".")
    media_type = _FILE_TYPES.get(suffix)
    if media_type is None:
        raise UsageError(f"file_type is {file_type!r}: png, jpg, gif or webp")
    if picture.mode == "I;16" and suffix != ".png":
        picture = _pillow().fromarray(_to_bytes(to_numpy(picture), True, {}))
    if suffix in (".jpg", ".jpeg") and picture.mode not in ("L", "RGB"):
        picture = picture.convert("RGB")
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    picture.save(
        buffer, format=media_type.partition("/")[2].upper(), **({"compress_level": 3} if suffix == ".png" else {})
    )
    return Content.of_bytes(buffer.getvalue(), media_type)


def _boxes(name: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict) or not isinstance(value.get("box_data"), list):
        raise UsageError(f"the boxes {name!r} are a dict with 'box_data', a list of boxes")
    for box in value["box_data"]:
        position = box.get("position") if isinstance(box, dict) else None
        if not isinstance(position, dict) or not (
            {"minX", "maxX", "minY", "maxY"} <= position.keys() or {"middle", "width", "height"} <= position.keys()
        ):
            raise UsageError(
                f"a box of {name!r} has a 'position' of minX, maxX, minY, maxY, or of middle, width, height"
            )
    labels = {str(number): str(label) for number, label in (value.get("class_labels") or {}).items()}
    return {"box_data": value["box_data"], "class_labels": labels}


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError:
        raise UsageError("images need Pillow and numpy: pip install 'runstream[media]'") from None
    return PIL.Image
