"""Wrong candidates: small Functions and modules, each with one mistake of a kind that public kernels have had."""

from planted.formulas import FORMULAS
from planted.places import PLACES

PLANTED = (*PLACES, *FORMULAS)
