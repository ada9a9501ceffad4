"""Pictures and videos: files, decoding, crops."""
