"""What a network is trained for: single frames, clips, or pictures."""
