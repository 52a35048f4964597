"""``python -m jupyter_mlops`` is ``mlops``; how a project starts its companions."""

from .cli import main
from .lifeline import follow_parent

follow_parent()
main()
