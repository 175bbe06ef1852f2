"""The only room that touches files: the log on disk, hard state, snapshots, and the folder they live in.

Owns: the `Disk` protocol and its real implementation, every file format, recovery, and the read-only reader.
May import: wire, raft (types only), limits, errors, ids. Promises: what `Wal.commit` returned for is durable; damaged bytes
are told from a torn tail and are never cut, guessed around or returned; everything is synchronous, no thread inside.

    identity       whose folder this is, and where it was made        disk       the protocol, and the real disk
    hard_state.0   term, vote, boot (first copy)                      record     one record of the log, and the chain
    hard_state.1   the same again                                     segment    one file of the log
    mark           how far the log is proven to be synced             spares     prepared segments: the head-room
    lock           held while a member runs                           wal        commit, mark, release
    formatting     only while a new folder is being made              scan       what a damaged or whole log says
    wal/N.seg      the log                                            recovery   create and open a folder
    wal/N.spare    prepared segments                                  snapshots  whole and partial snapshots
    snapshots/     *.snap, *.part, *.tmp, *.rotten                    reader     the same, read-only

The formats are written down in docs/storage-format.md.
"""
