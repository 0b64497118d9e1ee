"""Data folders and spools that earlier versions have left; `test_past.py` starts today's version on each of them."""
