/* hello: a file that greets. */
#include "translators/lib/translator.h"
static void hello_open(struct request *request)
{
    request_text(request, "Hello, world!\n", 14);
}
int main(int argc, char **argv)
{
    return translator_run(
        argc, argv, &(struct translator){.name = "hello", .narrow = true, .open = hello_open});
}
