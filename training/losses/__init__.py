"""The losses: hierarchical softmax over a WordTree, and the region loss of YOLOv2 and YOLO9000."""
