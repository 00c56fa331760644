"""Results as other tools take them.

labelled     pictures with what was found in them, one at a time
vocabulary   what concepts are called where only a name fits, and the label map that leads back
archive      a zip of a file a picture, and which pictures cannot be in it
json_list    a list of JSON objects that need not fit into memory
coco, yolo, voc, label_studio, cvat
write        one of them by its name
"""
