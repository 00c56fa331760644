"""The networks: Darknet-19, YOLOv2, YOLO9000 and yolov2-lite."""
