"""The adversaries, one file each: pure functions from traces to findings, run as processes given nothing else."""
