"""A whole project as a folder of files, and back: `runstream export` and `runstream import`.

`layout` says what lies where, `exporter` writes it; `cursors` reads it run by run, `attempts` and `frames` make batches
of it, `sending` carries them, `importer` does it all and counts what arrived.
"""
