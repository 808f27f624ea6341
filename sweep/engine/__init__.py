"""The engine: what a study asks for is searched, replayed and recorded."""
