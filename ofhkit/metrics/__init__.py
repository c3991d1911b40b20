"""MMEngine metrics: thin memories around the functions of :mod:`ofhkit.functional`."""
