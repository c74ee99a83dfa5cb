"""Where tasks run: on Parsl, which starts workers here or through a scheduler; only this folder imports Parsl.

A new scheduler is a function in ``providers.py`` and its name in ``vvscale.study.spec.workers``.
"""
