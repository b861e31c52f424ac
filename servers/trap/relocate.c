/* The shim's constants are in their places in an ordinary program. */
void shim_relocate(void) __attribute__((visibility("hidden")));

void shim_relocate(void)
{
}
