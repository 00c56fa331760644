"""Videos, cameras and streams: frames in, through PyAV (the extra `video`), and annotated videos out."""
