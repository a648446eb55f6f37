"""Every code of error that the engine or its client can give.

A job may also fail with a code of the library (`shot.*`, `settings.*` ...): those pass through untouched.
"""

from __future__ import annotations

ERROR_CODES = {
    "engine.unreachable": "nothing listens at the endpoint",
    "engine.refused": "the engine does not let this client in: the token or the key is missing or wrong",
    "engine.timeout": "the engine did not answer in time",
    "engine.address": "the engine cannot listen at the address it was given",
    "engine.keys": "the folder given for the engine's keys holds none, or a client's name cannot be taken",
    "engine.config": "an option, a variable or a line of the engine's file is none, or cannot have its value",
    "engine.ray": "the cluster that shall run the jobs cannot be used",
    "engine.internal": "the engine met an error of its own; it goes on serving",
    "protocol.version": "the two ends speak different versions of the protocol",
    "protocol.malformed": "a message is truncated, or is not what its kind says",
    "protocol.limit": "a message is larger than the limits allow",
    "job.unknown": "no job has this id",
    "job.active": "the job is queued or running, so it cannot be deleted",
    "job.unfinished": "the job has no result files, as it is not done",
    "job.limit": "the job asks for more pixels or Gaussians than the engine takes",
    "job.failed": "the job raised an error that the library did not foresee",
    "job.crashed": "the job's process died without saying why",
    "job.overdue": "the job ran longer than the engine gives one",
    "job.interrupted": "the engine was stopped in the middle of the job too many times",
    "farm.ray": "the cluster that shall do parts of a job cannot be used",
    "farm.lost": "a part of a job was lost on the cluster too often",
    "put.unknown": "bytes came of an array that no submission has announced",
    "put.corrupt": "an array arrived with other bytes than its hash says",
    "file.unknown": "the job has no result file of this name",
    "file.corrupt": "a result file no longer holds the bytes that the job wrote",
    "file.unusable": "a job's file or folder cannot be read or written",
    "file.unwritable": "a fetched file cannot be written where the caller wants it",
    "settings.path": "a setting names a place on the engine's computer that its owner has not allowed",
    "settings.file": "a file that a setting names cannot be sent, or its content is missing",
    "store.locked": "another engine is using the store",
    "store.unusable": "the folder given as the store cannot be one",
    "store.corrupt": "the store's files do not hold what was put in",
    "store.gone": "a file or folder of the engine's store was removed while the engine ran",
    "memory.full": "a job ran out of memory",
    "disk.full": "there is no room left to write a file",
    "cancelled": "the caller asked to stop",
}
