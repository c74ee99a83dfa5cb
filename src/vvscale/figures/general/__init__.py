"""Figures by what they show, from any table: each draws what the table has and says what it lacks."""
