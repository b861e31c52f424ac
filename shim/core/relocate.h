/* The shim's constants that hold addresses: those of the messages. */
#ifndef HIRSEL_RELOCATE_H
#define HIRSEL_RELOCATE_H

/* To be called before any of them is used. Nothing is written to their pages in a program that has
 * nothing to ask a server. */
void shim_relocate(void) __attribute__((visibility("hidden")));

#endif
