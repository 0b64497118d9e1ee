"""The spool: the memory-mapped queue between a training process and the node's sender.

    DIR/                       private (0700); RUNSTREAM_DIR, else the user's state folder
      credentials.json         API keys by server, 0600; never inside a stream
      sender.lock sender.log   the node's one sender (see `runstream.sender`)
      rejected/                batches that the server will never take, with its reason
      streams/<writer id>/     one process writing to one run
        meta.json              which run, where to send it; never a secret
        lock                   locked (flock) for as long as the process lives
        state                  the sender's report to the process (acked record, last error)
        batches                journal of batch boundaries, so that a resend is byte-identical
        00000000.seg ...       mapped: the records; a segment is deleted when all of it is acked

`format` defines the bytes, `writer` is the process's half, `reader` and `journal` are the sender's.
"""
