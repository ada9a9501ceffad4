"""What people do in a scene: upright, smooth, and as the motion of a rig."""
