/* Calls of a confined program that the trap server need not be asked about, by what it taught. */
#ifndef HIRSEL_TAUGHT_H
#define HIRSEL_TAUGHT_H

#include "shim/door/door.h"

/* stat, access, readlink and their like. */
long taught_call(long number, const long arguments[6]) HIDDEN;
/* fcntl. */
long control_call(long number, const long arguments[6]) HIDDEN;

#endif
