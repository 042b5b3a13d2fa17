#!/usr/bin/env python3
"""The header as Doxygen reads it: comments before declarations and after fields become its own kind,
and a struct or enumeration is declared once, under the name that programs use."""

import re
import sys

text = open(sys.argv[1]).read()
text = re.sub(r"^/\* (?:Part of usp\.h.*?|---- .*?)\*/$", "", text, flags=re.M)
text = re.sub(r"^/\* ", "/** ", text, flags=re.M)
text = re.sub(r"([;,]|= -?\w+)(\s*)/\* ", r"\1\2/**< ", text)
text = re.sub(r"^typedef ((?:struct|enum) \w+ \{.*?^\}) \w+;", r"\1;", text, flags=re.S | re.M)
text = re.sub(r"^USP_(BEGIN|END)_DECLARATIONS$", "", text, flags=re.M)
sys.stdout.write(re.sub(r"\bUSP_(API|CHECK)\b ?", "", text))
