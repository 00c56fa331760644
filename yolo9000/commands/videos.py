"""`yolo9000 detect` on videos, cameras and streams: a line of JSON for each frame, or a row for each track."""

import json
import re
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import typer

from app.engine.captions import label_text
from app.engine.pipeline import Question
from model.runtime import OnnxDetector
from yolo9000.commands.console import NOTHING, Row, SaveError, table
from yolo9000.commands.failures import PICTURE_FAILED, complain
from yolo9000.results import Detection, FrameResult
from yolo9000.video.errors import VideoError
from yolo9000.video.reading import Video
from yolo9000.video.watcher import Watcher
from yolo9000.video.writing import SUFFIXES, VideoWriter

HEADER: Row = ("video", "track", "label", "score", "seconds", "frames", "path")
STOPPED = 130
"""Exit code after Ctrl-C."""
_NO_WORD = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Span:
    """What part of a video is looked at: every n-th frame, from `start` to `end` in seconds."""

    every: int
    start: float
    end: float | None


@dataclass
class Track:
    """What was followed, as far as it was seen.

    Attributes:
        last: what it was in the last frame: its name is what all frames say.
        score: the best of them.
        begin, end: in seconds.
        frames: that it was seen in.
    """

    last: Detection
    score: float
    begin: float
    end: float
    frames: int = 0

    def take(self, found: Detection, seconds: float) -> None:
        """Take in a frame."""
        self.last, self.score, self.end = found, max(self.score, found.score), seconds
        self.frames += 1


class Watched:
    """A video that is looked at.

    Args:
        detector: the model.
        question: what is asked of every frame.
        name: of the video.
        span: what part of it.
        save: where the annotated video goes; None: nowhere.
    """

    def __init__(
        self, detector: OnnxDetector, question: Question, name: str, span: Span, save: Path | None = None
    ) -> None:
        self._detector, self._question, self._name, self._span, self._save = detector, question, name, span, save
        self._tracks: dict[int, Track] = {}
        self.failed = self.stopped = False

    def watch(self, take: Callable[[FrameResult], object] = lambda _: None, *, bar: bool) -> None:
        """Look at all frames; complain of what goes wrong. Ctrl-C ends it, and what was seen so far stays.

        Args:
            take: is given each frame's result.
            bar: show on a terminal how many are done.
        """
        try:
            with Video(self._name) as video, self._writer(video) as writer:
                with closing(self._frames(video, writer)) as results:
                    for result in _with_bar(results, self._name, self._expected(video), shown=bar):
                        take(result)
                self._tell(video)
        except KeyboardInterrupt:
            self.stopped = True
        except VideoError as error:
            self.failed = True
            complain(str(error))

    def _frames(self, video: Video, writer: VideoWriter | None) -> Generator[FrameResult, None, None]:
        watcher, span, size = Watcher(self._detector, self._question), self._span, self._question.size
        hear = None if writer is None else writer.hear
        frames = video.read(every=span.every, start=span.start, end=span.end, size=size, hear=hear)
        # The writer hears and writes in turn, so in one thread.
        with closing(watcher.watch(frames, ahead=writer is None and not video.live)) as watched:
            for frame, result in watched:
                for found in result:
                    self._take(found, result.seconds)
                if writer is not None:
                    writer.write(frame, result.draw())
                yield result

    def _writer(self, video: Video) -> AbstractContextManager[VideoWriter | None]:
        return nullcontext() if self._save is None else VideoWriter(self._save, video, self._span.start)

    def _expected(self, video: Video) -> int | None:
        """Return how many frames there are to look at, about; None where that is not known."""
        if video.frames is None or video.seconds is None:
            return None
        span = self._span
        seconds = max(0.0, min(video.seconds, span.end or video.seconds) - span.start)
        return -(-round(video.frames * seconds / video.seconds) // span.every)

    def rows(self) -> Iterator[Row]:
        """Return a row for each track, in the order in which they began."""
        if not self._tracks and not self.failed:
            yield self._name, "", NOTHING, "", "", "", ""
        for number, track in self._tracks.items():
            last = track.last
            name = label_text(last.name, [(other.name, other.probability) for other in last.alternatives])
            path = " > ".join(step.name for step in last.path)
            seconds = f"{track.begin:.1f}-{track.end:.1f}"
            yield self._name, str(number), name, f"{track.score:.2f}", seconds, str(track.frames), path

    def print_frame(self, result: FrameResult) -> None:
        """Print a frame's line of JSON."""
        typer.echo(json.dumps({"video": self._name, **result.to_dict()}, ensure_ascii=False))

    def _take(self, found: Detection, seconds: float) -> None:
        assert found.track is not None  # a frame's detections have one
        track = self._tracks.setdefault(found.track, Track(found, found.score, seconds, seconds))
        track.take(found, seconds)

    def _tell(self, video: Video) -> None:
        if video.broken:
            complain(f"{self._name}: left out {video.broken} packets that cannot be decoded")
        if video.ended_early is not None:
            self.failed = True
            complain(f"{self._name}: ends early: {video.ended_early}")


def look_at_videos(videos: Sequence[Watched], *, as_json: bool) -> int:
    """Look at videos one after the other and print what is followed in them; return the exit code."""
    watched = []
    for one in videos:
        if as_json:
            one.watch(one.print_frame, bar=not sys.stdout.isatty())
        else:
            one.watch(bar=True)
        watched.append(one)
        if one.stopped:
            break
    rows = [] if as_json else [row for one in watched for row in one.rows()]
    if rows:
        typer.echo(table([HEADER, *rows]))
    if any(one.stopped for one in watched):
        return STOPPED
    return PICTURE_FAILED if any(one.failed for one in watched) else 0


def video_paths(videos: Sequence[str], save: Path | None) -> list[Path | None]:
    """Return where each annotated video goes: `save` itself, or a file in it if it is a folder.

    Raises:
        SaveError: the name says no video, or a file would be written twice or over a video.
    """
    if save is None:
        return [None] * len(videos)
    if len(videos) == 1 and not save.is_dir():
        if save.suffix.lower() not in SUFFIXES:
            raise SaveError(f"cannot save as {save}: its name must end in {', '.join(SUFFIXES)}")
        targets = [save]
    else:
        if save.exists() and not save.is_dir():
            raise SaveError(f"{save} is a file; several videos are saved in a folder")
        targets = [save / f"{_NO_WORD.sub('-', Path(one).stem) or 'video'}.mp4" for one in videos]
    if len(set(targets)) < len(targets):
        raise SaveError("two of the videos have the same name and would be saved over one another")
    for target in targets:
        if any(target.resolve() == Path(one).resolve() for one in videos):
            raise SaveError(f"saving would overwrite the video {target}")
    return list(targets)


def _with_bar(results: Iterator[FrameResult], name: str, expected: int | None, *, shown: bool) -> Iterator[FrameResult]:
    if not shown or not sys.stderr.isatty():
        yield from results
        return
    with typer.progressbar(results, length=expected, label=name, file=sys.stderr) as bar:
        yield from bar
