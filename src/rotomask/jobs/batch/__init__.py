"""Many videos, on the cores of one machine or on a Ray cluster.

Every video is a `cut` in a folder of its own, which resumes and is written at most once by the
folder protocol (`jobs.folder`). What is here only reads the list (`manifest`), sizes the tasks
(`planning`), hands them to workers (`driver`; `local_pool`, `ray_pool`), moves files between remote
storage and the workers (`storage`), runs one video (`work`) and reports (`summary`).
"""
