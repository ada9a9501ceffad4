"""Images and videos: files, decoding, crops."""
