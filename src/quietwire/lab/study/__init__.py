"""A study: figures of many attacks on many systems, joined into one page that people read. Needs the extra `lab`."""
