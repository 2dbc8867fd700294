from dadc_net.experiment.library import evaluate as evaluate
from dadc_net.experiment.library import load_rule as load_rule
from dadc_net.experiment.library import plan as plan
from dadc_net.experiment.library import simulate as simulate
from dadc_net.experiment.library import to_pettingzoo as to_pettingzoo
from dadc_net.team.agent_spec import AgentSpec as AgentSpec
from dadc_net.team.conformance import check_task as check_task
from dadc_net.team.finite.model import FiniteModel as FiniteModel
from dadc_net.team.structures.delayed import DelayedSharing as DelayedSharing
from dadc_net.team.structures.delayed import FullSharing as FullSharing
from dadc_net.team.structures.own_memory import ControlSharing as ControlSharing
from dadc_net.team.structures.own_memory import MeanFieldSharing as MeanFieldSharing
from dadc_net.team.structures.own_memory import NoSharing as NoSharing
from dadc_net.team.structures.periodic import PeriodicSharing as PeriodicSharing
from dadc_net.team.tasks import Task as Task

__version__: str
