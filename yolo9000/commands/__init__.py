"""The command `yolo9000`: what each of its commands does, prints and fails with."""
