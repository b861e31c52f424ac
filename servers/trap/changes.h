/* What leads known ways elsewhere, told to the session's other trees. */
#ifndef HIRSEL_TRAP_CHANGES_H
#define HIRSEL_TRAP_CHANGES_H

/* After it was done, by who is in the name space that the trap server is in now (identity.h). */
void changes_tell(void);

#endif
