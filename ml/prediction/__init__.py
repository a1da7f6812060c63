"""Batch prediction: a frozen batch through a released model, one JSON line for each sample.

``served`` calls the model, ``lines`` writes its answers, ``documents`` says what is finished, ``batch`` does the work
on this machine. On Vertex AI a job does it: ``instances`` writes what the job reads, ``job_files`` knows what it
writes, ``collection`` checks that.
"""
