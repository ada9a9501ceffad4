"""From the files of detectors, and from pictures, to people in 2D."""
