"""Noise ceilings, or how well a perfect model could do: by name, and the rule that relates a raw score to one.

``ceiling.py`` computes them from recordings, ``percent.py`` those that prepared files keep. A new one is a class and
its name in ``rules.py``. ``score.py`` relates a raw score to a ceiling, and draws images and neuroids for the interval
of a score. How consistent observers' choices are lies with their metric, in ``brain/behavior``.
"""
