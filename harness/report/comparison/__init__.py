"""Two systems set against each other, with tests and effect sizes.

document = compare(*find_systems(["runs/x"]), by="task")
write_comparison(document, Path("comparison.json")); print(markdown(document))
"""

from harness.report.comparison.document import compare as compare
from harness.report.comparison.document import write_comparison as write_comparison
from harness.report.comparison.markdown import markdown as markdown
from harness.report.comparison.systems import Scope as Scope
from harness.report.comparison.systems import find_systems as find_systems
