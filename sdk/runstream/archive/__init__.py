"""Export and import of a whole project as a folder of files: `runstream export` and `runstream import`.

`layout` names the files of the folder, and `exporter` writes them. `cursors` reads them run by run, `attempts` and
`metric_frames` make batches, `sending` sends these, and `importer` does all this and counts the rows that arrived.
"""
