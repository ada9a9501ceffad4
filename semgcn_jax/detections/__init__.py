"""People in 2D, from the files of detectors and from images."""
