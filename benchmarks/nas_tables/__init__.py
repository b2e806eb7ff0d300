"""Parts of ``search_tables``: searches in tables of architectures that others have trained, one idea per file."""
