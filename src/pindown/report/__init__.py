"""One HTML page from any results: the page frame, and the sections of each record. It reads records, never samples."""
