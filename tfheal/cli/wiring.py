"""How the program is put together: the only place that takes hold of edge and lab."""
