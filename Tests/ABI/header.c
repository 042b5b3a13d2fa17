/* The header alone, as C99 and as C++17, with every warning an error. */
#include "usp.h"

int main(void) {
    return USP_OK;
}
