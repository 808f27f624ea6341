"""The framework around the simulator: studies, search, cluster, database, command line."""
