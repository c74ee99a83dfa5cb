"""How well a perfect model could do: ceilings by name, and the rule that relates a raw score to one."""
