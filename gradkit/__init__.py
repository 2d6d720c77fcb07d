"""For instructors and graders: never part of a starter."""

import sys

# jsonschema, which nbformat imports, builds a grammar of internet addresses at its import if it can
# import this package. That takes 2.4 s, and the schema of notebooks contains no address.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
