"""The search at full size, then the script of each rule that is dropped.

`PYTHONPATH=tests .venv/bin/python -m shared_rules` takes half a minute, and 700 MB.
"""

from __future__ import annotations

import sys

from shared_rules.model import Model
from shared_rules.search import search
from shared_rules.state import RULES, Left


def main() -> int:
    """Search with all rules, then without each of them; return how many searches did not end as they should."""
    whole = search(Model(), Left())
    print(f"All rules hold: {whole}", flush=True)
    failures = int(bool(whole.broken))
    for rule, text in RULES.items():
        found = search(Model(dropped=rule), Left())
        print(f"\nWithout rule {rule} ({text}): {found}", flush=True)
        failures += not found.broken
    return failures


if __name__ == "__main__":
    sys.exit(main())
