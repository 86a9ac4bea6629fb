"""EPICS areaDetector: arrays of any camera or scanned detector that an IOC gives out over PVAccess."""
