"""Keep pytest out of this folder: its programs run in two environments, and none of them is a test."""

collect_ignore_glob = ["*.py"]
