"""An areaDetector of EPICS: arrays and a camera's records over PVAccess, on loopback."""
