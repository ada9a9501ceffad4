"""People in front of a camera, lifted, shown and sent while it films."""
