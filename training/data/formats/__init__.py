"""Reading data sets: COCO, PASCAL VOC, YOLO, folders of pictures."""
