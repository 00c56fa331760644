"""Writing results in the formats that were asked for."""

from collections.abc import Callable, Iterable, Sequence

from app.label.output.file_format import FileFormat
from app.label.output.formats.coco import write_coco
from app.label.output.formats.cvat import write_cvat
from app.label.output.formats.label_studio import write_label_studio
from app.label.output.formats.labelled import labelled
from app.label.output.formats.voc import write_voc
from app.label.output.formats.vocabulary import Vocabulary
from app.label.output.formats.yolo import write_yolo
from model.archives.locations import Location
from model.wordtree import WordTree


def write_formats(
    formats: Sequence[FileFormat],
    location: Location,
    shards: Callable[[FileFormat], Iterable[int]],
    tree: WordTree,
    *,
    source: str,
    model: str,
) -> list[str]:
    """Write results in some formats, and the label map for those that know classes by their names alone.

    Args:
        formats: which.
        location: the output folder.
        shards: gives the numbers of the shards, to be read for a format.
        tree: the model's.
        source: the folder or URL that the pictures' names are relative to.
        model: name and version of the model.

    Returns:
        Sentences about what could not be written.
    """
    sentences: list[str] = []
    vocabulary = Vocabulary(tree)
    for one in dict.fromkeys(formats):
        pictures = labelled(location, shards(one))
        match one:
            case FileFormat.COCO:
                write_coco(location, pictures, tree)
            case FileFormat.YOLO:
                sentences += write_yolo(location, pictures, vocabulary)
            case FileFormat.VOC:
                sentences += write_voc(location, pictures, vocabulary)
            case FileFormat.CVAT:
                sentences += write_cvat(location, pictures, vocabulary)
            case FileFormat.LABEL_STUDIO:
                write_label_studio(location, pictures, vocabulary, source, model)
    if set(formats) - {FileFormat.COCO}:
        vocabulary.write_label_map(location)
    return sentences
