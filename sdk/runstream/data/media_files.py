"""The rich values `Audio`, `Video` and `Html`."""

from __future__ import annotations

import io
import wave
from pathlib import Path

from runstream.base.text import valid
from runstream.data.histogram import to_numpy
from runstream.data.loggable import Content, Media
from runstream.errors import UsageError

_AUDIO = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac"}
_VIDEO = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif", ".ogg": "video/ogg"}


class Audio(Media):
    """Sound for `log()`: an array with its `sample_rate` in Hz, or the path of a WAV, MP3, OGG or FLAC file.

    An array has the shape (samples,) or (samples, channels), and holds floats in [-1, 1] or 16-bit integers.
    """

    def __init__(self, data_or_path: object, sample_rate: int | None = None, caption: object = None) -> None:
        super().__init__(caption)
        self._take(data_or_path, sample_rate)

    def _read(self, source: object, sample_rate: int | None) -> None:
        if isinstance(source, (str, Path)):
            self.contents.append(_of_file(Path(source), _AUDIO, "an audio file"))
            return
        import numpy as np

        if not sample_rate or int(sample_rate) != sample_rate:
            raise UsageError(f"sample_rate is {sample_rate!r}: give it in Hz, a whole number, with an array")
        array = to_numpy(source)
        if array.ndim not in (1, 2) or not array.size:
            raise UsageError(f"sound of the shape {tuple(array.shape)}: (samples,) or (samples, channels) is meant")
        if np.issubdtype(array.dtype, np.floating):
            array = np.nan_to_num(np.clip(array, -1, 1)) * 32767
        elif array.dtype != np.int16:
            raise UsageError(f"sound of {array.dtype} values: floats in [-1, 1], or int16")
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1 if array.ndim == 1 else array.shape[1])
            file.setsampwidth(2)
            file.setframerate(int(sample_rate))
            file.writeframes(np.ascontiguousarray(array.astype("<i2")).tobytes())
        self.metadata = {"sample_rate": int(sample_rate), "duration_s": round(array.shape[0] / sample_rate, 3)}
        self.contents.append(Content.of_bytes(buffer.getvalue(), "audio/wav"))


class Video(Media):
    """Moving pictures for `log()`: an array of uint8, or the path of an MP4, WebM, OGG or GIF file.

    An array has the shape (frames, channels, H, W). It is shown at `fps` frames a second, and kept as an animated GIF
    or WebP (`format`).
    """

    def __init__(self, data_or_path: object, caption: object = None, fps: int | None = None, format: str | None = None):
        super().__init__(caption)
        self._take(data_or_path, fps or 4, format or "gif")

    def _read(self, source: object, fps: int, form: str) -> None:
        if isinstance(source, (str, Path)):
            self.contents.append(_of_file(Path(source), _VIDEO, "a video file"))
            return
        if form not in ("gif", "webp"):
            raise UsageError(f"format is {form!r}: gif or webp; for {form} encode it yourself and give the file's path")
        array = to_numpy(source)
        if array.ndim != 4 or array.shape[1] not in (1, 3, 4) or not array.size:
            raise UsageError(f"a video of the shape {tuple(array.shape)}: (frames, channels, height, width) is meant")
        if array.dtype.kind not in "ui" or array.min() < 0 or array.max() > 255:
            raise UsageError(f"a video of {array.dtype} values: uint8 is meant")
        from runstream.data.image import to_picture

        frames = [to_picture(frame.transpose(1, 2, 0).astype("uint8")) for frame in array]
        buffer = io.BytesIO()
        frames[0].save(
            buffer, format=form.upper(), save_all=True, append_images=frames[1:], duration=1000 // int(fps), loop=0
        )
        self.metadata = {"fps": int(fps), "frames": len(frames), "width": array.shape[3], "height": array.shape[2]}
        self.contents.append(Content.of_bytes(buffer.getvalue(), f"image/{form}"))


class Html(Media):
    """An HTML page for `log()`: its text, the path of a file, or an open file. The server shows it in a sandbox."""

    def __init__(
        self, data: object, inject: bool = True, data_is_not_path: bool = False, caption: object = None
    ) -> None:
        super().__init__(caption)
        self._take(data, data_is_not_path)

    def _read(self, source: object, is_text: bool) -> None:
        if hasattr(source, "read"):
            text = source.read()
        elif isinstance(source, Path) or (
            isinstance(source, str) and not is_text and len(source) < 1024 and source.endswith((".html", ".htm"))
        ):
            self.contents.append(_of_file(Path(source), {".html": "text/html", ".htm": "text/html"}, "an HTML file"))
            return
        else:
            text = source
        if not isinstance(text, (str, bytes)):
            raise UsageError(f"HTML is a text, a path or a file, not {type(source).__name__}")
        self.contents.append(Content.of_bytes(valid(text).encode() if isinstance(text, str) else text, "text/html"))


def _of_file(path: Path, types: dict[str, str], what: str) -> Content:
    media_type = types.get(path.suffix.lower())
    if media_type is None:
        raise UsageError(f"{path} is no {what.partition(' ')[2]} of {', '.join(types)}")
    return Content.of_file(path, media_type)
