#include "CKernels.h"

int uspi_isa(void) { return 0; }
