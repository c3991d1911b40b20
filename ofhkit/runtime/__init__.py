"""What a run stands on: processes, launchers, progress."""
