print(math.atan2(-1.1506365646275297e-276, -3.148030159587969e+53), math.atan2(-1e-300, 1e300), math.atan2(-0, -1), math.atan2(0, -1), 1/math.atan2(-0, 1), 1/math.atan2(-1e-300, 1e300))
