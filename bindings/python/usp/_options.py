"""Generated from the tables of fields by scripts/generate_doors.py: do not edit."""

from math import nan
from typing import Any, Dict

#: struct -> field -> default
DEFAULTS: Dict[str, Dict[str, Any]] = {
    "usp_checkpoint_options": {
        "table": None,
    },
    "usp_save_options": {
        "format": None,
        "dtype": None,
        "tables": None,
    },
    "usp_inception_options": {
        "preprocessing": "tensorflow",
    },
}
