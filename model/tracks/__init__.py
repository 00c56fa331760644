"""Objects followed from frame to frame, whose names grow more particular as the evidence adds up."""
