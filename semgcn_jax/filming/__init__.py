"""What any camera and any detector make of a pose, and a network of that.

Poses are varied, filmed by random cameras, marked by a detector with its
mistakes, and turned into the input of a network. Training does all of this
within its compiled step; a lifter does only the last, in the same functions.
"""
