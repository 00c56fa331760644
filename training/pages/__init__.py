"""HTML pages and pictures with boxes, for reports that people look at."""
