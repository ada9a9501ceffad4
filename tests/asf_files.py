"""A small skeleton and motion in Acclaim's format."""

ASF = """# made
:version 1.10
:name test
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   none
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name upper
     direction 0 -1 0
     length 2.5
     axis 10 20 -30 XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 2
     name fixed
     direction 0.6 0.8 0
     length 1
     axis 0 0 0 XYZ
  end
  begin
     id 3
     name lower
     direction 0 -1 0
     length 1.5
     axis 0 0 20 XYZ
    dof rz rx
  end
:hierarchy
  begin
    root upper fixed
    upper lower
  end
"""
AMC = """#!made
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 10 20 30
upper 5 -6 7.5
lower 1e1 -20
2
root 1 2 3 0 0 0
upper 0 0 0
lower 0 0
"""
