"""The networks: Darknet-19, YOLOv2, YOLO9000, yolov2-lite and yolov2-efficientnet."""
