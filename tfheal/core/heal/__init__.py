"""Healing as a pure function: findings become incidents, incidents climb the ladder within their budgets.

The numbers and their sources stand in `HealPolicy`; the rules in `tfheal explain healing`.
"""

from tfheal.core.heal.incidents import actionable, only
from tfheal.core.heal.plan import planned
from tfheal.core.heal.situation import DAY, Rescue, Situation
from tfheal.core.heal.storm import Storm

__all__ = ["DAY", "Rescue", "Situation", "Storm", "actionable", "only", "planned"]
