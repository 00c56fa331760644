"""The forms in which people's tools take labelled pictures; Parquet is written always."""

from enum import StrEnum


class FileFormat(StrEnum):
    """A form that other tools read."""

    COCO = "coco"
    YOLO = "yolo"
    VOC = "voc"
    LABEL_STUDIO = "label-studio"
    CVAT = "cvat"
