"""Cloud Storage's JSON API in front of fake-gcs-server, with what that server leaves out.

The gaps of fake-gcs-server 1.54 that are closed here:

- preconditions are ignored everywhere: ``conditions``, checked under a lock for each object;
- ``generation`` and ``sourceGeneration``, content checksums given at upload, and hash headers of a download:
  ``writes``, ``reads``;
- a resumable upload takes any bytes at any offset: ``uploads``;
- ``fields`` is ignored: ``fields``; a listing with a delimiter isn't cut into pages: ``listing``;
- a change of metadata leaves the metageneration at 1 and answers with another document; a deletion answers 200,
  not 204; entity tags don't change with metadata; messages of errors don't name what is missing: ``records``;
- a batch isn't split into its calls, so that no fault and no permission could hit one of them: ``batch``.
"""
